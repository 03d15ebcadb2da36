use std::process::ExitCode;

fn main() -> ExitCode {
    kv_bench::main()
}
