// Distances estimated by dot products of rounded rows, and bounds on their error.
//
// Up to terms that depend on one row alone, every metric is a dot product of centered and scaled
// rows x' = s (x - c):
//   euclidean (squared): |x'|^2 + |y'|^2 - 2 x'y'
//   cosine: half of that, for rows of length 1
//   inner product: const + (-s cx') + (-s cy') - x'y'
// So distance * s^2 = bias(x) + bias(y) - weight * x'y'. The dot product is estimated by that of
// the rows x~ and y~, which are rounded to what the processor multiplies fastest (DotTile). This
// changes it by at most |x' - x~| |y'| + |x~| |y' - y~|. Centering keeps that small.
#pragma once

#include <cstddef>
#include <vector>

#include "dot_tile.hpp"
#include "labelquorum/neighbors.hpp"

namespace labelquorum {

inline constexpr double half_ulp = 0x1p-24;  // the relative error of rounding to float

// Measuring one pair costs about as much as comparing this many with the precise tile, or more with
// the fast one.
inline constexpr std::size_t compared_per_measured = 32;

// How all rows are centered and scaled.
struct Frame {
    // largest: the largest absolute value of centered rows; 0 if all are zero.
    Frame(std::vector<double> mean, double largest);

    std::vector<double> center;
    double center_squares;
    double scale;  // a power of two: scaled values are at most 1, so that squares fit a float
};

double weight_of(Metric metric);

// What is known about a rounded row.
struct Rounded {
    double bias;
    double squares;  // squared length of the centered and scaled row
    double lost;     // squared length of what rounding took from it
    double doubt;    // its share of the error of distances measured in double precision
};

class Rounder {
public:
    Rounder(const Frame& frame, Metric metric, const DotTile& tile)
        : frame_(frame), metric_(metric), tile_(tile) {}

    // The size of a row in a panel.
    std::size_t n_columns() const { return tile_.columns_of_panel(frame_.center.size()); }
    std::size_t row_bytes() const { return n_columns() * tile_.value_bytes; }

    // row: as Measure reads it; it is overwritten. values: n_columns() values for a panel; those
    // beyond the row's columns are not written.
    Rounded operator()(double* row, float* values) const;

    // A bound on the rounding error of a dot product's sum, given the product of the lengths.
    double error_of_sums(double lengths) const {
        return half_ulp * static_cast<double>(n_columns() + 16) * lengths;
    }
    // A bound on the error of values too small for a float.
    double underflow() const { return static_cast<double>(n_columns()) * 0x1p-120; }

private:
    const Frame& frame_;
    Metric metric_;
    const DotTile& tile_;
};

float round_up(double value);
float round_down(double value);

}  // namespace labelquorum
