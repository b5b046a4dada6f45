"""The fault suite: a test for every row of docs/faults.md that no test elsewhere shows."""
