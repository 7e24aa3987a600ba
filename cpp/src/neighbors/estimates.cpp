#include "estimates.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace labelquorum {

Frame::Frame(std::vector<double> mean, double largest)
    : center(std::move(mean)),
      center_squares(precise_dot_tile().dot(center.data(), center.data(), center.size())),
      // The square of the scale must fit a double.
      scale(largest > 0 ? std::ldexp(1.0, std::clamp(-std::ilogb(largest) - 1, -500, 500)) : 1) {}

double weight_of(Metric metric) { return metric == Metric::euclidean ? 2 : 1; }

Rounded Rounder::operator()(double* row, float* values) const {
    const std::size_t n = frame_.center.size();
    const double* center = frame_.center.data();
    const double scale = frame_.scale;
    const bool is_zero =
        metric_ == Metric::cosine && std::all_of(row, row + n, [](double v) { return v == 0; });
    const auto [squares, lost] = tile_.prepare(row, center, scale, n, values);
    double bias = squares;
    double size = squares;  // the largest number that double precision rounds
    switch (metric_) {
        case Metric::euclidean: break;
        case Metric::cosine: bias = (squares + (is_zero ? scale * scale : 0)) / 2; break;
        case Metric::inner_product:
            bias = -scale * (tile_.dot(row, center, n) + scale * frame_.center_squares / 2);
            size += scale * scale * frame_.center_squares;
            break;
    }
    return {bias, squares, lost, static_cast<double>(n + 8) * 0x1p-51 * size};
}

float round_up(double value) {
    return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

float round_down(double value) {
    return std::nextafter(static_cast<float>(value), -std::numeric_limits<float>::infinity());
}

}  // namespace labelquorum
