//! The moving line: reads the counters of a run and draws them, on a terminal and nowhere else.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::Terminal;
use crate::progress::{Progress, Reading};
use crate::units::human_bytes;

const REDRAW: Duration = Duration::from_millis(150);

/// Draws until it is dropped, and then leaves the line empty.
pub struct Bar(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Bar {
    pub fn start(terminal: &Terminal, progress: &Progress) -> Bar {
        if !terminal.shows_progress() {
            return Bar(None);
        }
        let progress = progress.clone();
        let (stop, stopped) = mpsc::channel();
        let drawing = thread::spawn(move || {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let mut stage = String::new();
            while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                draw(&bar, &progress.read(), &mut stage);
            }
            bar.finish_and_clear();
        });
        Bar(Some((stop, drawing)))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some((stop, drawing)) = self.0.take() {
            drop(stop);
            // A bar that could not be drawn changes nothing about the run.
            let _ = drawing.join();
        }
    }
}

fn draw(bar: &ProgressBar, now: &Reading, stage: &mut String) {
    if now.stage.is_empty() {
        return;
    }
    if *stage != now.stage {
        stage.clone_from(&now.stage);
        bar.reset();
    }
    // The total is an estimate: what is done is never more than all.
    let total = now.raw_bytes_total.max(now.raw_bytes);
    let known = now.raw_bytes_total > 0;
    if known {
        bar.set_length(total);
    } else {
        bar.unset_length();
    }
    bar.set_style(style(known));
    bar.set_position(now.raw_bytes);
    let stored =
        if now.stored_bytes > 0 { format!(", {} stored", human_bytes(now.stored_bytes)) } else { String::new() };
    bar.set_message(format!("{stage}{stored}"));
    bar.tick();
}

fn style(known: bool) -> ProgressStyle {
    let template = if known {
        "{bar:24} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta} left  {wide_msg}"
    } else {
        "{spinner} {binary_bytes} {binary_bytes_per_sec}, {elapsed}  {wide_msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_understood() {
        let template = |known| format!("{:?}", style(known).get_tick_str(0));
        assert_eq!(template(true), template(false));
        let bar = ProgressBar::hidden();
        let mut stage = String::new();
        let reading = Reading { stage: "rows".into(), raw_bytes: 7, raw_bytes_total: 5, stored_bytes: 1, rows: 1 };
        draw(&bar, &reading, &mut stage);
        assert_eq!((bar.position(), bar.length()), (7, Some(7)));
        draw(&bar, &Reading { raw_bytes_total: 0, ..reading }, &mut stage);
        assert_eq!(bar.length(), None);
        assert_eq!(bar.message(), "rows, 1 B stored");
    }
}
