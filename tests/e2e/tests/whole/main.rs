//! One binary for all whole-product tests: the AWS SDK is linked once.

mod sync;
