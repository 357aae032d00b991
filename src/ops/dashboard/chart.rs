//! Charts as SVG that stands in the page itself. Axes take the page's own colour, so they work in light and dark.

use plotters::prelude::*;

use crate::error::{Error, Kind, Result};

/// About as wide as a card, so that letters keep their size.
const SIZE: (u32, u32) = (480, 160);
const LINE: RGBColor = RGBColor(59, 130, 246);

/// A colour that nothing else has: it is replaced by the page's own.
const INK: RGBColor = RGBColor(1, 2, 3);
const INK_TEXT: &str = "#010203";

/// Values over nights, oldest first, from zero up. `title` is what a screen reader says.
pub fn over_nights(values: &[f64], unit: &dyn Fn(f64) -> String, title: &str) -> Result<String> {
    let mut svg = String::new();
    draw(values, unit, &mut svg).map_err(|cause| Error::new(Kind::Bug, "cannot draw a chart").because(cause))?;
    let named = format!("<svg role=\"img\" aria-label=\"{}\" ", super::page::escaped(title));
    Ok(svg.replacen("<svg ", &named, 1).replace(INK_TEXT, "currentColor"))
}

fn draw(values: &[f64], unit: &dyn Fn(f64) -> String, svg: &mut String) -> std::result::Result<(), String> {
    let said = |cause: &dyn std::fmt::Display| cause.to_string();
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let top = values.iter().copied().fold(0.0, f64::max).max(1.0) * 1.1;
    let last = (values.len().saturating_sub(1)).max(1) as f64;
    let mut chart = ChartBuilder::on(&root)
        .margin(6)
        .set_label_area_size(LabelAreaPosition::Left, 88)
        .build_cartesian_2d(0.0..last, 0.0..top)
        .map_err(|cause| said(&cause))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_labels(3)
        .y_label_formatter(&|value: &f64| unit(*value))
        .axis_style(INK.mix(0.4))
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.15))
        .label_style(("sans-serif", 18).into_font().color(&INK))
        .draw()
        .map_err(|cause| said(&cause))?;
    let points = || values.iter().enumerate().map(|(at, value)| (at as f64, *value));
    let area = AreaSeries::new(points(), 0.0, LINE.mix(0.2)).border_style(LINE.stroke_width(2));
    chart.draw_series(area).map_err(|cause| said(&cause))?;
    root.present().map_err(|cause| said(&cause))
}
