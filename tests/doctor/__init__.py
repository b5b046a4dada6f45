"""`rotator doctor`: each check sees its fault on a real cluster, and is silent where all is well."""
