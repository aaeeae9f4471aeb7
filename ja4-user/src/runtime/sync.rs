//! What the structures of this folder synchronize threads with. A test of the schedules of their threads replaces it.

pub(super) use std::hint::spin_loop;
pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(super) use std::sync::{Condvar, Mutex, PoisonError};
