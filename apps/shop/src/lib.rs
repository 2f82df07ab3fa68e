//! The coffee shop's page.
