//! Help as a terminal shows it.

mod program;

use program::kv_bench;

#[test]
fn tables_in_the_help_are_whole_on_a_terminal_of_eighty_columns() {
    let help = |subcommand: &str, columns: &str| {
        let mut command = kv_bench(&[subcommand, "--help"]);
        let output = command.env("COLUMNS", columns).output().expect("it runs");
        String::from_utf8(output.stdout).expect("text")
    };
    for subcommand in ["run", "curve", "find-max"] {
        let [narrow, wide] = ["80", "200"].map(|columns| help(subcommand, columns));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{subcommand}");
        let is_row = |line: &&str| line.starts_with(&" ".repeat(12));
        let rows = |text: &str| text.lines().filter(is_row).map(str::to_owned).collect::<Vec<_>>();
        assert!(rows(&wide).len() > 60, "{subcommand}");
        assert_eq!(rows(&narrow), rows(&wide), "{subcommand}");
        assert!(narrow.contains("\nExit codes: 0 "), "{subcommand}: {narrow}");
    }
}
