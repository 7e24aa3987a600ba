// The coordinates in which rows are compared when a recall is wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "measure.hpp"
#include "packed_rows.hpp"

namespace labelquorum {

// The same numbers every time, so that results are the same, too.
std::mt19937_64 repeatable_random();

// `n` of the numbers below `of`, ascending.
std::vector<std::uint32_t> sample(std::size_t n, std::size_t of, std::mt19937_64& random);

// Coordinates of rows, and the squares of what they leave out of each (empty: nothing).
struct Coordinates {
    std::vector<float> values;
    std::vector<float> rests;
};

// Those of the row less a center, scaled, and along the directions of most variance where these are
// few. For inner products a point has one coordinate more, which makes all points equally long, so
// that the nearest have the largest product (Bachrach et al., RecSys 2014).
class Space {
public:
    // largest: absolute value of the rows as they are compared.
    Space(const Points& points, const Measure& measure, double largest, std::mt19937_64& random,
          const Executor& executor);

    std::size_t n_columns() const;

    // What distances are multiplied by.
    double scale() const { return scale_; }

    // Of all rows, n_columns() each.
    Coordinates coordinates(const Points& from, bool as_points, const Executor& executor) const;

private:
    bool lifted() const { return measure_.metric() == Metric::inner_product; }
    double longest(const Points& points, const Executor& executor) const;
    void find_directions(const std::vector<float>& columns, std::size_t n,
                         const Executor& executor);

    const Measure& measure_;
    std::vector<double> center_;
    double scale_;
    double length_ = 0;  // square of the longest point's
    std::size_t n_directions_ = 0;
    PackedRows directions_{precise_dot_tile()};
};

}  // namespace labelquorum
