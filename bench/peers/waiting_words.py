"""What the benchmark and its peers say to each other, by Redis; nothing is imported here."""

BEGIN = "bench:begin"  # a list: how many calls to make at once, and with what prompt
ENDED = "bench:ended"  # a list: an entry a call that has ended
TEXT = "bench:text:"  # a channel a call, for a peer that tells each token on
CALL = "waiting.call"  # the task of Celery
MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
READ_SECONDS = 300
