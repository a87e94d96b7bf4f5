//! The mathematics as its callers see it, and against references. One binary, since linking is slow.

mod learning {
    mod choice;
    mod data;
    mod drift;
    mod factors;
    mod identity;
    mod kmeans;
    mod learners;
    mod markov;
    mod model;
    mod naming;
    mod recommend;
    mod reference;
    mod returns;
    mod social;
}
