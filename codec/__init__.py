"""Domain objects as protobuf messages: beside the server's edge the only code that knows both."""
