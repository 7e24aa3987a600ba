#include "measure.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "dot_tile.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t scan_grain = 1024;
constexpr double max_value = 1e150;

double widen(std::uint16_t half) {
    const int exponent = (half >> 10) & 31;
    const double mantissa = half & 1023;
    const double sign = (half >> 15) != 0 ? -1.0 : 1.0;
    if (exponent == 0) return sign * std::ldexp(mantissa, -24);
    if (exponent < 31) return sign * std::ldexp(mantissa + 1024, exponent - 25);
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
}
double widen(float value) { return value; }
double widen(double value) { return value; }

template <class T>
void read_row(const char* from, std::ptrdiff_t stride, std::size_t n, double* to) {
    for (std::size_t c = 0; c < n; ++c, from += stride) {
        T value;
        std::memcpy(&value, from, sizeof(value));
        to[c] = widen(value);
    }
}

}  // namespace

void read_row(const Points& points, std::size_t i, double* to) {
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

void check_finite(const Points& points, std::size_t i, const double* row, const char* name) {
    std::size_t n_right = 0;
    for (std::size_t c = 0; c < points.n_columns; ++c) n_right += std::abs(row[c]) <= max_value;
    if (n_right == points.n_columns) return;
    for (std::size_t c = 0; c < points.n_columns; ++c) {
        if (std::abs(row[c]) <= max_value) continue;
        const char* fault = std::isnan(row[c])   ? "finite, got NaN"
                            : std::isinf(row[c]) ? "finite, got infinity"
                                                 : "at most 1e150 in magnitude, got a larger value";
        throw std::invalid_argument(std::string(name) + " must be " + fault + " at row " +
                                    std::to_string(i) + ", column " + std::to_string(c) + ".");
    }
}

void Measure::prepare(double* row) const {
    if (metric_ != Metric::cosine) return;
    double largest = 0;  // rows are divided by it first, because squares could overflow or vanish
    for (std::size_t c = 0; c < n_columns_; ++c) largest = std::max(largest, std::abs(row[c]));
    if (largest == 0) return;
    for (std::size_t c = 0; c < n_columns_; ++c) row[c] /= largest;
    const double norm = std::sqrt(precise_dot_tile().dot(row, row, n_columns_));
    for (std::size_t c = 0; c < n_columns_; ++c) row[c] /= norm;
}

void Measure::read(const Points& points, std::size_t i, double* to) const {
    read_row(points, i, to);
    prepare(to);
}

double Measure::operator()(const double* a, const double* b) const {
    switch (metric_) {
        case Metric::inner_product: return -precise_dot_tile().dot(a, b, n_columns_);
        case Metric::cosine:
            // Half the squared distance of unit rows, which is accurate even for nearly parallel
            // rows.
            if (is_zero(a) || is_zero(b)) return 1;
            return squared(a, b) / 2;
        default: return squared(a, b);
    }
}

double Measure::final_distance(double measured) const {
    return metric_ == Metric::euclidean ? std::sqrt(measured) : measured;
}

double Measure::least() const {
    return metric_ == Metric::inner_product ? -std::numeric_limits<double>::infinity() : 0;
}

double Measure::squared(const double* a, const double* b) const {
    return precise_dot_tile().squared_distance(a, b, n_columns_);
}

bool Measure::is_zero(const double* row) const {
    return std::all_of(row, row + n_columns_, [](double value) { return value == 0; });
}

Survey survey(const Points& points, const char* name, const Measure& measure,
              const Executor& executor) {
    const std::size_t m = points.n_columns;
    const std::size_t n_blocks = (points.n_rows + scan_grain - 1) / scan_grain;
    const auto n_workers = static_cast<std::size_t>(executor.n_workers(n_blocks));
    std::vector<std::vector<double>> sums(n_workers, std::vector<double>(m, 0.0));
    std::vector<std::vector<double>> maxima(n_workers, std::vector<double>(m, 0.0));
    const double share = 1 / static_cast<double>(points.n_rows);
    executor.run_ranges(
        points.n_rows, scan_grain, [&](std::size_t begin, std::size_t end, int worker) {
            std::vector<double>& sum = sums[static_cast<std::size_t>(worker)];
            std::vector<double>& most = maxima[static_cast<std::size_t>(worker)];
            std::vector<double> row(m);
            for (std::size_t i = begin; i < end; ++i) {
                read_row(points, i, row.data());
                if (measure.metric() == Metric::cosine) {
                    check_finite(points, i, row.data(), name);
                    measure.prepare(row.data());
                }
                for (std::size_t c = 0; c < m; ++c) {
                    sum[c] += row[c] * share;
                    most[c] = std::max(most[c], std::abs(row[c]));
                }
            }
            // A NaN may not show in the maximum, but it does in the sum.
            const bool is_good = std::all_of(sum.begin(), sum.end(),
                                             [](double value) { return std::isfinite(value); }) &&
                                 *std::max_element(most.begin(), most.end()) <= max_value;
            for (std::size_t i = begin; i < end && !is_good; ++i) {
                read_row(points, i, row.data());
                check_finite(points, i, row.data(), name);
            }
        });
    Survey survey{0, std::vector<double>(m, 0.0)};
    for (std::size_t w = 0; w < n_workers; ++w) {
        for (std::size_t c = 0; c < m; ++c) {
            survey.mean[c] += sums[w][c];
            survey.largest = std::max(survey.largest, maxima[w][c]);
        }
    }
    return survey;
}

}  // namespace labelquorum
