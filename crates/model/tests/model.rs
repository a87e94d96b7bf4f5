//! Service of models as its callers see it, over an embedded store and vectors that the tests make up. One binary, since
//! linking is slow.

mod model {
    mod drift;
    mod features;
    mod manifest;
    mod publishing;
    mod requests;
    mod sampling;
    mod sandbox;
    mod schedule;
    mod training;
    mod watcher;
    mod watching;
}
