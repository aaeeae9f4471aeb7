//! Whose a value is.


