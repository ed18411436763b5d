"""What changed on the target, found without triggers: docs/sync.md has the protocol and the loss that each part prevents."""
