// The coordinates in which approximate search compares rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "measure.hpp"
#include "packed_rows.hpp"

namespace labelquorum {

// Always the same random numbers, so that results are repeatable.
std::mt19937_64 repeatable_random();

// n random numbers less than n_all, distinct and ascending.
std::vector<std::uint32_t> sample(std::size_t n, std::size_t n_all, std::mt19937_64& random);

struct Coordinates {
    std::vector<float> values;
    std::vector<float> rests;  // squared length of what each row's coordinates leave out; or empty
};

// Coordinates are those of the centered and scaled row. If most variance lies in a few directions,
// the row is projected to these. For inner products, points get one more coordinate, which makes
// all of them equally long, so that the nearest have the largest product (Bachrach et al., RecSys
// 2014).
class Space {
public:
    // largest: the largest absolute value of the rows, in the form that is compared.
    Space(const Points& points, const Measure& measure, double largest, std::mt19937_64& random,
          const Executor& executor);

    std::size_t n_columns() const;

    // Distances are multiplied by this.
    double scale() const { return scale_; }

    // The coordinates of all rows, n_columns() each.
    Coordinates coordinates(const Points& from, bool as_points, const Executor& executor) const;

private:
    bool lifted() const { return measure_.metric() == Metric::inner_product; }
    double longest(const Points& points, const Executor& executor) const;
    void find_directions(const std::vector<float>& columns, std::size_t n,
                         const Executor& executor);

    const Measure& measure_;
    std::vector<double> center_;
    double scale_;
    double length_ = 0;  // squared length of the longest point
    std::size_t n_directions_ = 0;
    PackedRows directions_{precise_dot_tile()};
};

}  // namespace labelquorum
