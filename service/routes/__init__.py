"""HTTP endpoints: parse, call, present."""
