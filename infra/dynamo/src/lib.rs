#![doc = "skeleton"]
