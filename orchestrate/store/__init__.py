"""Where facts are kept: the event log, its codec, and the files that events refer to. Returns events; questions are views."""
