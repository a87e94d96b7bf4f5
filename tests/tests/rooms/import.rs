//! Every log imports, its counts are the file's, and what the profiles then say equals an independent count made in Python.
//! A second import of the same file changes nothing.

use portrait::import::{self, Format, LogReader, Report};
use portrait_tests::{Census, Log, Server, census, log_file, python};
use std::path::Path;
use std::process::Command;
use tonic::transport::Endpoint;

const LOGS: [Log; 11] = [
    Log { format: "rees46", file: "rees46_2019-10-01_0000-0250.csv.gz", read: 17_434, rejected: 0 },
    Log { format: "taobao", file: "taobao2017_wholeusers_A.csv.gz", read: 4_528, rejected: 0 },
    Log { format: "tmall", file: "tmall2013_events_A.csv.gz", read: 111_219, rejected: 0 },
    Log { format: "otto", file: "otto_sample_20sessions.csv.gz", read: 862, rejected: 0 },
    Log { format: "eshop", file: "uci_eshop_clothing_2008.csv.gz", read: 165_474, rejected: 0 },
    Log { format: "online-retail", file: "uci_online_retail.csv.gz", read: 541_909, rejected: 135_080 },
    Log { format: "complete-journey", file: "completejourney_transactions_A.csv.gz", read: 764_999, rejected: 0 },
    Log { format: "retailrocket", file: "retailrocket.csv", read: 0, rejected: 0 },
    Log { format: "jdata", file: "jdata.csv", read: 0, rejected: 0 },
    Log { format: "complete-journey", file: "completejourney_products.csv.gz", read: 92_331, rejected: 0 },
    Log { format: "jsonl", file: "events.jsonl", read: 0, rejected: 0 },
];
