"""HOW it is done: one outside system a file. The only place for boto3 and redis."""

import sys

# redis-py takes in OpenTelemetry's SDK of metrics wherever that is installed, 34 modules, for what
# nobody here turns on. While it seems not to be there, redis-py goes on without; adapters/otel.py
# ends that, where a collector is named.
sys.modules.setdefault("opentelemetry.sdk.metrics", None)  # type: ignore[arg-type] # what import reads as "not there"
