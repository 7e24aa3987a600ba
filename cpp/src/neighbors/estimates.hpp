// Distances estimated by dot products of rounded rows, and what these may be wrong by.
//
// Every metric is, up to terms of one row alone, a dot product of centred rows x' = s (x - c):
//   euclidean (squared): |x'|^2 + |y'|^2 - 2 x'y'
//   cosine: half of that, of rows of length 1
//   inner product: const + (-s cx') + (-s cy') - x'y'
// so distance * s^2 = bias(x) + bias(y) - weight * x'y'. The dot product is estimated by that of
// the rows x~ and y~, rounded to what the processor multiplies fastest (DotTile), which changes it
// by at most |x' - x~| |y'| + |x~| |y' - y~|. Centring keeps that small.
#pragma once

#include <cstddef>
#include <vector>

#include "dot_tile.hpp"
#include "labelquorum/neighbors.hpp"

namespace labelquorum {

inline constexpr double half_ulp = 0x1p-24;  // the relative error of rounding to float

// One pair measured costs about as much as this many compared with the precise tile, less with the
// fast one.
inline constexpr std::size_t max_measured_of = 32;

// How all rows are centred and scaled.
struct Frame {
    // largest: absolute value of what is centred; 0 for any.
    Frame(std::vector<double> mean, double largest);

    std::vector<double> center;
    double center_squares;
    double scale;  // a power of two: values times this are at most 1, so that squares fit a float
};

double weight_of(Metric metric);

// What is known of a row once it is rounded.
struct Rounded {
    double bias;
    double squares;  // of the row, centred and scaled
    double lost;     // squares of what rounding took from it
    double doubt;    // its share of the error of a distance measured in double precision
};

class Rounder {
public:
    Rounder(const Frame& frame, Metric metric, const DotTile& tile)
        : frame_(frame), metric_(metric), tile_(tile) {}

    // Of a panel.
    std::size_t n_columns() const { return tile_.columns_of_panel(frame_.center.size()); }
    std::size_t row_bytes() const { return n_columns() * tile_.value_bytes; }

    // row: as Measure reads it; it is used up. values: what panels hold, n_columns() of them, of
    // which those beyond the row's stay as they are.
    Rounded operator()(double* row, float* values) const;

    // Bounds what the sums of a dot product of this length do to it, given the lengths' product.
    double error_of_sums(double lengths) const {
        return half_ulp * static_cast<double>(n_columns() + 16) * lengths;
    }
    // What values below the smallest float may add up to.
    double underflow() const { return static_cast<double>(n_columns()) * 0x1p-120; }

private:
    const Frame& frame_;
    Metric metric_;
    const DotTile& tile_;
};

float round_up(double value);
float round_down(double value);

}  // namespace labelquorum
