//! Commands of the crate `lab`, or placeholders for them in a build without the feature `lab`.

#[cfg(not(feature = "lab"))]
pub(crate) use absent::{
    UnavailableArgs as BenchArgs, UnavailableArgs as ExamplesArgs, UnavailableArgs as DemoArgs,
    UnavailableArgs as DriftArgs, UnavailableArgs as EvalArgs, bench, demo, drift, eval, examples,
};
#[cfg(feature = "lab")]
pub(crate) use portrait_lab::{
    bench::{BenchArgs, run as bench},
    demo::{DemoArgs, run as demo},
    drift::{DriftArgs, run as drift},
    eval::{EvalArgs, run as eval},
    examples::{ExamplesArgs, run as examples},
};

/// Placeholder commands, which accept any arguments and name the build that has the command.
#[cfg(any(test, not(feature = "lab")))]
#[cfg_attr(feature = "lab", expect(dead_code, reason = "one command stands for all in the test"))]
mod absent {
    use anyhow::{Result, bail};

    /// Ignored arguments, `--help` included: the only output is the name of the other build.
    #[derive(Debug, clap::Args)]
    #[command(disable_help_flag = true)]
    pub(crate) struct UnavailableArgs {
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        _given: Vec<String>,
    }

    pub(crate) async fn bench(_: UnavailableArgs) -> Result<()> {
        missing("bench")
    }

    pub(crate) async fn examples(_: UnavailableArgs) -> Result<()> {
        missing("examples")
    }

    pub(crate) async fn demo(_: UnavailableArgs) -> Result<()> {
        missing("demo")
    }

    pub(crate) async fn drift(_: UnavailableArgs) -> Result<()> {
        missing("drift")
    }

    pub(crate) async fn eval(_: UnavailableArgs) -> Result<()> {
        missing("eval")
    }

    fn missing(command: &str) -> Result<()> {
        bail!("this build has no `{command}`: install the binary built with the default features")
    }
}

#[cfg(test)]
mod tests {
    use super::absent;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: absent::UnavailableArgs,
    }

    #[tokio::test]
    async fn an_absent_command_accepts_any_arguments_and_names_the_build_that_has_it() {
        for given in [&["demo"][..], &["demo", "log.csv", "--format", "rees46"], &["demo", "--help"]] {
            let Command { arguments } = Command::try_parse_from(given).expect("any arguments");
            let error = absent::demo(arguments).await.expect_err("it is not there");
            assert_eq!(
                error.to_string(),
                "this build has no `demo`: install the binary built with the default features"
            );
        }
    }
}
