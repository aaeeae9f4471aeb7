//! The state as pure functions: an event gives a new state, and the state gives what is asked of the sensor.

pub(super) mod detail;
pub(super) mod editor;
mod keys;
pub(super) mod list;
pub(super) mod status;
pub(super) mod top_state;
