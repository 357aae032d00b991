//! Lines of a crontab, between two markers. What stands outside of them is never touched.

use jiff::civil::Time;

use super::plan::{Job, Plan};

const BEGIN: &str = "# BEGIN miyabi-backup (written by `miyabi-backup schedule install`; changes here are lost)";
const END: &str = "# END miyabi-backup";

/// Output of all runs, below the folder in which they start.
pub const LOG: &str = "logs/backup-cron.log";

/// The crontab with our block in the place where it was, or at the end; the same text if it stands already.
pub fn with_block(crontab: &str, plan: &Plan) -> String {
    let (before, after) = around(crontab);
    let mut text = before;
    text.push_str(&block(plan));
    text.push_str(&after);
    text
}

pub fn without_block(crontab: &str) -> String {
    let (before, after) = around(crontab);
    before + &after
}

pub fn has_block(crontab: &str) -> bool {
    crontab.lines().any(|line| line == BEGIN)
}

/// When our block starts the backup.
pub fn starts_at(crontab: &str) -> Option<Time> {
    let ours = crontab.lines().skip_while(|line| *line != BEGIN).take_while(|line| *line != END);
    let backup = ours.skip(1).find(|line| line.contains(" backup "))?;
    let mut fields = backup.split(' ').map(|field| field.parse::<i8>().ok());
    let (minute, hour) = (fields.next()??, fields.next()??);
    Time::new(hour, minute, 0, 0).ok()
}

/// What stands before and behind our block; all of it before, if there is none.
fn around(crontab: &str) -> (String, String) {
    let (mut before, mut after) = (String::new(), String::new());
    let (mut inside, mut seen) = (false, false);
    let is_closed = crontab.lines().any(|line| line == END);
    for line in crontab.lines() {
        match line {
            // Without its end the block is not recognisable: nothing is taken away then.
            BEGIN if is_closed => (inside, seen) = (true, true),
            END if inside => inside = false,
            _ if inside => {}
            line => {
                let side = if seen { &mut after } else { &mut before };
                side.push_str(line);
                side.push('\n');
            }
        }
    }
    (before, after)
}

fn block(plan: &Plan) -> String {
    let mut lines = vec![BEGIN.to_owned()];
    lines.extend(Job::ALL.into_iter().map(|job| format!("{} {}", when(plan, job), command(plan, job))));
    lines.push(END.to_owned());
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// cron knows no zones: the times are those of the machine.
pub fn when(plan: &Plan, job: Job) -> String {
    match job {
        Job::Backup => format!("{} {} * * *", plan.at.minute(), plan.at.hour()),
        Job::Verify => "0 4 * * 0".to_owned(),
        Job::Drill => "0 5 1 * *".to_owned(),
        Job::Watch => "17 * * * *".to_owned(),
    }
}

fn command(plan: &Plan, job: Job) -> String {
    let words: Vec<String> = plan.words(job).iter().map(|word| quoted(word)).collect();
    let folder = quoted(&plan.folder.display().to_string());
    let line = format!("umask 077; cd {folder} && mkdir -p logs && {} >> {LOG} 2>&1", words.join(" "));
    // cron ends the command at a percent sign, quoted or not.
    line.replace('%', "\\%")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            at: Time::constant(2, 30, 0, 0),
            zone: None,
            program: "/usr/local/bin/miyabi-backup".into(),
            arguments: vec!["--config".into(), "/etc/it's 100%.toml".into()],
            folder: "/srv/backup".into(),
            writable: Vec::new(),
            own_folders: Vec::new(),
            secrets: Vec::new(),
            system: false,
        }
    }

    #[test]
    fn what_others_wrote_stays_and_twice_is_once() {
        let others = "# mine\nMAILTO=me\n5 5 * * * /bin/true\n";
        let once = with_block(others, &plan());
        assert!(once.starts_with(others) && once.lines().count() == 9, "{once}");
        assert_eq!(with_block(&once, &plan()), once);
        assert_eq!((starts_at(&once), starts_at(others)), (Some(Time::constant(2, 30, 0, 0)), None));
        let later = format!("{once}6 6 * * * /bin/false\n");
        let moved = Plan { at: Time::constant(4, 0, 0, 0), ..plan() };
        let changed = with_block(&later, &moved);
        assert!(changed.contains("\n0 4 * * * ") && !changed.contains("\n30 2 * * * "), "{changed}");
        assert_eq!(without_block(&changed), format!("{others}6 6 * * * /bin/false\n"));
        assert_eq!(without_block(others), others);
        let cut = format!("{others}{BEGIN}\n7 7 * * * /bin/precious\n");
        assert_eq!(without_block(&cut), cut, "a block without an end is not ours to judge");
    }

    #[test]
    fn words_survive_shell_and_cron() {
        let line = command(&plan(), Job::Backup);
        assert!(line.contains(r"--config '/etc/it'\''s 100\%.toml' --quiet >> logs/backup-cron.log 2>&1"), "{line}");
    }
}
