//! Packages from registries: pushed, pulled, served, and what becomes of them when the registry is not as it should be.

mod attacks;
mod caching;
mod compiled;
mod credentials;
mod images;
mod many;
mod opponents;
mod oras;
mod programs;
mod pulling;
mod pushing;
mod signatures;
mod wkg;
