"""Domain objects as protobuf messages. The only code outside the servicers that knows both."""
