//! The server is killed with SIGKILL at random moments of an import, started again and sent the same file again: what the
//! profiles then say equals an uninterrupted run. `PORTRAIT_FAULT_CYCLES` sets how many kills; the seed is printed.
