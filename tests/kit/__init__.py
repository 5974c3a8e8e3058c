"""What tests of several folders share: databases, servers, faults, samples, waiting."""
