// Distances in double precision, of rows as they are given: what every result is made of.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "dot_tile.hpp"
#include "labelquorum/neighbors.hpp"

namespace labelquorum {

inline double widen(std::uint16_t half) {
    const int exponent = (half >> 10) & 31;
    const double mantissa = half & 1023;
    const double sign = (half >> 15) != 0 ? -1.0 : 1.0;
    if (exponent == 0) return sign * std::ldexp(mantissa, -24);
    if (exponent < 31) return sign * std::ldexp(mantissa + 1024, exponent - 25);
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
}
inline double widen(float value) { return value; }
inline double widen(double value) { return value; }

template <class T>
void read_row(const char* from, std::ptrdiff_t stride, std::size_t n, double* to) {
    for (std::size_t c = 0; c < n; ++c, from += stride) {
        T value;
        std::memcpy(&value, from, sizeof(value));
        to[c] = widen(value);
    }
}

// Row i in double precision, as given.
inline void read_row(const Points& points, std::size_t i, double* to) {
    const char* from =
        static_cast<const char*>(points.data) + static_cast<std::ptrdiff_t>(i) * points.row_stride;
    const std::ptrdiff_t stride = points.column_stride;
    switch (points.type) {
        case FloatType::f16: read_row<std::uint16_t>(from, stride, points.n_columns, to); break;
        case FloatType::f32:
            if (stride == sizeof(float) && reinterpret_cast<std::uintptr_t>(from) % 4 == 0) {
                precise_dot_tile().widen(reinterpret_cast<const float*>(from), points.n_columns,
                                         to);
            } else {
                read_row<float>(from, stride, points.n_columns, to);
            }
            break;
        case FloatType::f64:
            if (stride == sizeof(double)) {
                std::memcpy(to, from, points.n_columns * sizeof(double));
            } else {
                read_row<double>(from, stride, points.n_columns, to);
            }
            break;
    }
}

// Reads rows and measures them in double precision.
class Measure {
public:
    Measure(Metric metric, std::size_t n_columns) : metric_(metric), n_columns_(n_columns) {}

    // The row as it is compared: for cosine of length 1, or all zeros.
    void read(const Points& points, std::size_t i, double* to) const {
        read_row(points, i, to);
        if (metric_ != Metric::cosine) return;
        double largest = 0;  // divided by first: squares could overflow, or vanish
        for (std::size_t c = 0; c < n_columns_; ++c) largest = std::max(largest, std::abs(to[c]));
        if (largest == 0) return;
        for (std::size_t c = 0; c < n_columns_; ++c) to[c] /= largest;
        const double norm = std::sqrt(precise_dot_tile().dot(to, to, n_columns_));
        for (std::size_t c = 0; c < n_columns_; ++c) to[c] /= norm;
    }

    // Of rows that were read so. The square of a euclidean distance.
    double operator()(const double* a, const double* b) const {
        switch (metric_) {
            case Metric::inner_product: return -precise_dot_tile().dot(a, b, n_columns_);
            case Metric::cosine:
                // Half the squared distance of unit rows: exact also for rows nearly parallel.
                if (is_zero(a) || is_zero(b)) return 1;
                return squared(a, b) / 2;
            default: return squared(a, b);
        }
    }

    // What is given to the caller.
    double final_distance(double measured) const {
        return metric_ == Metric::euclidean ? std::sqrt(measured) : measured;
    }

    // Below this, nothing is measured.
    double least() const {
        return metric_ == Metric::inner_product ? -std::numeric_limits<double>::infinity() : 0;
    }

private:
    double squared(const double* a, const double* b) const {
        return precise_dot_tile().squared_distance(a, b, n_columns_);
    }
    bool is_zero(const double* row) const {
        return std::all_of(row, row + n_columns_, [](double value) { return value == 0; });
    }

    Metric metric_;
    std::size_t n_columns_;
};

}  // namespace labelquorum
