//! A real server on free loopback ports, called over real connections.

mod serving {
    mod calls;
    mod drain;
    mod house;
    mod ports;
    mod tokens;
}
