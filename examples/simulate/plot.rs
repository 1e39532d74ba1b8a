//! Pictures of figures, as SVG.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// What is drawn of the rows of an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// The name of its file, without the end.
    pub file: &'static str,
    pub title: &'static str,
    /// The column along the axis; nothing if the lines are not read off rows.
    pub x: Option<&'static str>,
    pub x_label: &'static str,
    pub scale: Scale,
    /// The columns that are drawn, and what each is called where there are several.
    pub y: &'static [(&'static str, &'static str)],
    pub y_label: &'static str,
    /// The columns of which each combination is a line, and the word behind their values.
    pub by: &'static [(&'static str, &'static str)],
}

/// How numbers lie along the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Even,
    /// Twice as many is one step further.
    Doubling,
    /// They are words, each with a bar.
    Words,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub label: String,
    pub points: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (720, 420);
/// Told apart by most who do not see all colours (Okabe and Ito 2008).
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(140, 140, 140),
];

/// Draws lines into a file; false if there is nothing to see: not two places with a value.
pub fn draw(path: &Path, drawing: &Drawing, lines: &[Line], words: &[String]) -> Result<bool, Box<dyn Error>> {
    let placed = |x: f64| if drawing.scale == Scale::Doubling { x.max(0.5).log2() } else { x };
    let lines: Vec<Line> = lines
        .iter()
        .map(|line| Line {
            label: line.label.clone(),
            points: line.points.iter().map(|(x, y)| (placed(*x), *y)).collect(),
        })
        .collect();
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let (least, most) = all().fold((f64::MAX, f64::MIN), |(least, most), (x, _)| (least.min(x), most.max(x)));
    if least >= most {
        return Ok(false);
    }
    let top = all().map(|(_, y)| y).fold(0.0, f64::max).max(f64::MIN_POSITIVE) * 1.08;
    let across = if drawing.scale == Scale::Words { least - 0.5..most + 0.5 } else { least..most };

    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(drawing.title, ("sans-serif", 19))
        .margin(14)
        .margin_right(28)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(across, 0.0..top)?;
    let named = |x: &f64| match drawing.scale {
        Scale::Even => short(*x),
        Scale::Doubling => short(x.exp2()),
        Scale::Words if x.fract().abs() > 0.01 => String::new(),
        Scale::Words => words.get(x.round() as usize).cloned().unwrap_or_default(),
    };
    // As many marks as there are doublings, so that each is at one.
    let marks = if drawing.scale == Scale::Even { 8 } else { (most - least).ceil() as usize + 1 };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_labels(marks.min(12))
        .x_label_formatter(&named)
        .y_label_formatter(&|y| short(*y))
        .x_desc(drawing.x_label)
        .y_desc(drawing.y_label)
        .label_style(("sans-serif", 13))
        .draw()?;
    for (place, line) in lines.iter().enumerate() {
        let color = COLORS[place % COLORS.len()];
        if drawing.scale == Scale::Words {
            let bars =
                line.points.iter().map(|(x, y)| Rectangle::new([(x - 0.25, 0.0), (x + 0.25, *y)], color.filled()));
            chart.draw_series(bars)?;
            continue;
        }
        let drawn = chart.draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?;
        drawn.label(&line.label).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        // Where a line has many points, they would hide it.
        let dots = line.points.iter().filter(|_| line.points.len() <= 40);
        chart.draw_series(dots.map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    if lines.len() > 1 && drawing.scale != Scale::Words {
        let mut legend = chart.configure_series_labels();
        legend.position(emptiest(&lines, (least, most), top)).margin(8).label_font(("sans-serif", 13));
        legend.background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.3)).draw()?;
    }
    area.present()?;
    Ok(true)
}

/// The corner of which the lines take least.
fn emptiest(lines: &[Line], (least, most): (f64, f64), top: f64) -> SeriesLabelPosition {
    let between = |from: (f64, f64), to: (f64, f64), step: f64| {
        ((from.0 + (to.0 - from.0) * step - least) / (most - least), (from.1 + (to.1 - from.1) * step) / top)
    };
    let steps = || (0..=16).map(|step| f64::from(step) / 16.0);
    let drawn = || {
        let pairs = lines.iter().flat_map(|line| line.points.windows(2));
        pairs.flat_map(|pair| steps().map(|step| between(pair[0], pair[1], step)))
    };
    let corners = [
        (SeriesLabelPosition::UpperLeft, (0.0, 1.0)),
        (SeriesLabelPosition::UpperRight, (1.0, 1.0)),
        (SeriesLabelPosition::LowerRight, (1.0, 0.0)),
        (SeriesLabelPosition::LowerLeft, (0.0, 0.0)),
    ];
    let near =
        |corner: (f64, f64)| drawn().filter(|(x, y)| (x - corner.0).abs() < 0.3 && (y - corner.1).abs() < 0.35).count();
    let best = corners.into_iter().min_by_key(|(_, corner)| near(*corner));
    best.map_or(SeriesLabelPosition::UpperLeft, |(position, _)| position)
}

/// A number in as many digits as tell it from its neighbours on an axis.
fn short(number: f64) -> String {
    let digits = if number.abs() >= 10.0 || number.fract().abs() < 1e-9 {
        0
    } else if number.abs() >= 1.0 {
        1
    } else {
        3
    };
    let text = format!("{number:.digits$}");
    if digits == 3 { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}
