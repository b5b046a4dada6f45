"""What `deploy/monitoring` holds is what rotator says: alerts that ring when they should, and a dashboard."""
