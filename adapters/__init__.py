"""HOW it is done: one outside system a file. The only place for boto3 and redis."""
