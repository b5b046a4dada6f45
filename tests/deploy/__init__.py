"""What users install: the chart, the manifests and the examples; rendered, compared, and applied to a real cluster."""
