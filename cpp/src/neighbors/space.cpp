#include "space.hpp"

#include <algorithm>
#include <cmath>

#include "base/read_once.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t block_rows = 1024;
constexpr std::size_t min_variance_rows = 2048;
constexpr std::size_t max_variance_rows = 4096;
constexpr std::size_t max_unprojected = 96;  // columns
constexpr double kept_variance = 0.85;
constexpr std::size_t max_directions = 256;
constexpr std::size_t n_power_steps = 4;
constexpr std::size_t block_directions = 16;

// The dot products of all rows of a with all rows of b.
void multiply(std::span<const float> a, std::span<const float> b, std::size_t n_columns,
              std::vector<float>& to, const Executor& executor) {
    const std::size_t n_a = a.size() / n_columns;
    const std::size_t n_b = b.size() / n_columns;
    PackedRows points(precise_dot_tile());
    points.resize(n_b, n_columns);
    for (std::size_t i = 0; i < n_b; ++i) points.put(i, b.data() + i * n_columns);
    to.resize(n_a * n_b);
    executor.run_ranges(n_a, 96, [&](std::size_t begin, std::size_t end, int) {
        Multiplier multiplier(precise_dot_tile(), n_columns);
        const std::size_t width = multiplier.tile().n_points;
        multiplier(
            end - begin,
            [&](std::size_t i, float* row) {
                std::copy_n(a.data() + (begin + i) * n_columns, n_columns, row);
            },
            points, 0, points.n_panels(),
            [&](std::size_t i, std::size_t panel, const float* dots) {
                const std::size_t first = panel * width;
                std::copy_n(dots, std::min(width, n_b - first),
                            to.data() + (begin + i) * n_b + first);
            });
    });
}

// Makes rows orthogonal and of length 1, one block of rows at a time. Each block is then taken out
// of all later rows.
void orthonormalize(std::vector<double>& rows, std::size_t n_columns, const Executor& executor) {
    const DotTile& tile = precise_dot_tile();
    const std::size_t n_rows = rows.size() / n_columns;
    const auto take_out = [&](std::size_t begin, std::size_t end, std::size_t from) {
        double* row = rows.data() + from * n_columns;
        for (std::size_t i = begin; i < end; ++i) {
            const double* other = rows.data() + i * n_columns;
            const double dot = tile.dot(row, other, n_columns);
            for (std::size_t c = 0; c < n_columns; ++c) row[c] -= dot * other[c];
        }
    };
    for (std::size_t begin = 0; begin < n_rows; begin += block_directions) {
        const std::size_t end = std::min(n_rows, begin + block_directions);
        for (std::size_t i = begin; i < end; ++i) {
            take_out(begin, i, i);
            double* row = rows.data() + i * n_columns;
            const double squares = tile.dot(row, row, n_columns);
            // If no direction is left, the row becomes zeros, which project to nothing.
            const double factor = squares > 1e-30 ? 1 / std::sqrt(squares) : 0;
            for (std::size_t c = 0; c < n_columns; ++c) row[c] *= factor;
        }
        executor.run_ranges(n_rows - end, 8, [&](std::size_t first, std::size_t last, int) {
            for (std::size_t i = end + first; i < end + last; ++i) take_out(begin, end, i);
        });
    }
}

// Rows are checked before they become coordinates, and scaled so that no value exceeds 1. They may
// have changed since then, but what is sorted and compared has to be made of numbers.
void check_unchanged(const float* coordinates, std::size_t n) {
    constexpr float max_squares = 1e30F;
    float squares = 0;
    for (std::size_t c = 0; c < n; ++c) squares += coordinates[c] * coordinates[c];
    if (!(squares <= max_squares)) throw_changed("X and Y");
}

}  // namespace

std::mt19937_64 repeatable_random() {
    return std::mt19937_64(1);  // NOLINT(bugprone-random-generator-seed): on purpose
}

std::vector<std::uint32_t> sample(std::size_t n, std::size_t n_all, std::mt19937_64& random) {
    std::vector<std::uint32_t> chosen;
    chosen.reserve(n);
    for (std::size_t i = 0; i < n_all && chosen.size() < n; ++i) {
        if (random() % (n_all - i) < n - chosen.size()) {
            chosen.push_back(static_cast<std::uint32_t>(i));
        }
    }
    return chosen;
}

Space::Space(const Points& points, const Measure& measure, double largest, std::mt19937_64& random,
             const Executor& executor)
    : measure_(measure),
      center_(points.n_columns, 0.0),
      // Squares must fit a float.
      scale_(largest > 0 ? std::ldexp(1.0, std::clamp(-std::ilogb(largest) - 2, -500, 500)) : 1) {
    const std::size_t d = points.n_columns;
    const std::size_t wanted = std::clamp(4 * d, min_variance_rows, max_variance_rows);
    const std::vector<std::uint32_t> chosen =
        sample(std::min(points.n_rows, wanted), points.n_rows, random);
    const std::size_t n = chosen.size();
    std::vector<double> rows(n * d);
    executor.run_ranges(n, 64, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) measure.read(points, chosen[i], &rows[i * d]);
    });
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t c = 0; c < d; ++c) center_[c] += rows[i * d + c];
    }
    for (double& value : center_) value /= static_cast<double>(n);
    if (lifted()) length_ = longest(points, executor);
    if (d <= max_unprojected) return;
    std::vector<float> columns(d * n);
    executor.run_ranges(d, 16, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t c = begin; c < end; ++c) {
                columns[c * n + i] = static_cast<float>((rows[i * d + c] - center_[c]) * scale_);
            }
        }
    });
    find_directions(columns, n, executor);
}

std::size_t Space::n_columns() const {
    return (n_directions_ > 0 ? n_directions_ : center_.size()) + (lifted() ? 1 : 0);
}

Coordinates Space::coordinates(const Points& from, bool as_points, const Executor& executor) const {
    const std::size_t d = center_.size();
    const std::size_t m = n_columns();
    executor.require_memory(from.n_rows * m * sizeof(float), "the coordinates of the points");
    Coordinates to{std::vector<float>(from.n_rows * m),
                   std::vector<float>(n_directions_ > 0 ? from.n_rows : 0)};
    executor.run_ranges(from.n_rows, block_rows, [&](std::size_t begin, std::size_t end, int) {
        executor.checkpoint();
        std::vector<double> row(d);
        Multiplier multiply(precise_dot_tile(), d);
        const std::size_t width = multiply.tile().n_points;
        const auto read = [&](std::size_t i, float* values) {
            measure_.read(from, begin + i, row.data());
            if (lifted()) {
                const double squares =
                    scale_ * scale_ * precise_dot_tile().dot(row.data(), row.data(), d);
                to.values[(begin + i) * m + m - 1] =
                    as_points ? static_cast<float>(std::sqrt(std::max(0.0, length_ - squares))) : 0;
            }
            for (std::size_t c = 0; c < d; ++c) {
                row[c] = (row[c] - center_[c]) * scale_;
                values[c] = static_cast<float>(row[c]);
            }
            if (n_directions_ > 0) {
                to.rests[begin + i] =
                    static_cast<float>(precise_dot_tile().dot(row.data(), row.data(), d));
            }
        };
        if (n_directions_ == 0) {
            for (std::size_t i = begin; i < end; ++i) {
                read(i - begin, to.values.data() + i * m);
                check_unchanged(to.values.data() + i * m, m);
            }
            return;
        }
        multiply(end - begin, read, directions_, 0, directions_.n_panels(),
                 [&](std::size_t i, std::size_t panel, const float* dots) {
                     const std::size_t first = panel * width;
                     std::copy_n(dots, std::min(width, n_directions_ - first),
                                 to.values.data() + (begin + i) * m + first);
                 });
        for (std::size_t i = begin; i < end; ++i) {
            const float* values = to.values.data() + i * m;
            check_unchanged(values, m);
            float squares = 0;
            for (std::size_t c = 0; c < n_directions_; ++c) squares += values[c] * values[c];
            to.rests[i] = std::max(0.0F, to.rests[i] - squares);
        }
    });
    return to;
}

// The squared length of the longest point.
double Space::longest(const Points& points, const Executor& executor) const {
    const std::size_t d = points.n_columns;
    std::vector<double> longest_of_blocks(panels_of(points.n_rows, block_rows), 0.0);
    executor.run_ranges(points.n_rows, block_rows, [&](std::size_t begin, std::size_t end, int) {
        std::vector<double> row(d);
        double& most = longest_of_blocks[begin / block_rows];
        for (std::size_t i = begin; i < end; ++i) {
            measure_.read(points, i, row.data());
            for (double& value : row) value *= scale_;
            most = std::max(most, precise_dot_tile().dot(row.data(), row.data(), d));
        }
    });
    return *std::max_element(longest_of_blocks.begin(), longest_of_blocks.end());
}

// Finds the directions of most variance by orthogonal iteration. If too many would be needed, there
// are none, and all columns are compared.
void Space::find_directions(const std::vector<float>& columns, std::size_t n,
                            const Executor& executor) {
    const std::size_t d = center_.size();
    std::vector<float> covariance;
    multiply(columns, columns, n, covariance, executor);
    double total = 0;
    for (std::size_t c = 0; c < d; ++c) total += covariance[c * d + c];
    if (total == 0) return;
    for (float& value : covariance) value /= static_cast<float>(total);
    const std::size_t most = std::min(d / 2, max_directions);
    std::mt19937_64 random = repeatable_random();
    std::vector<double> rows(most * d);
    for (double& value : rows) value = static_cast<double>(random() % 65536) / 32768 - 1;
    std::vector<float> from;
    std::vector<float> to;
    std::vector<double> variance(most);
    for (std::size_t step = 0; step < n_power_steps; ++step) {
        orthonormalize(rows, d, executor);
        executor.checkpoint();
        from.assign(rows.begin(), rows.end());
        multiply(from, covariance, d, to, executor);
        std::vector<double> next(to.begin(), to.end());
        for (std::size_t i = 0; i < most; ++i) {
            variance[i] = precise_dot_tile().dot(rows.data() + i * d, next.data() + i * d, d);
        }
        rows.swap(next);
    }
    orthonormalize(rows, d, executor);
    double kept = 0;
    std::size_t m = 0;
    while (m < most && kept < kept_variance) kept += variance[m++];
    if (kept < kept_variance) return;
    n_directions_ = std::min(most, (m + 7) / 8 * 8);
    directions_.resize(n_directions_, d);
    from.assign(rows.begin(), rows.end());
    for (std::size_t i = 0; i < n_directions_; ++i) directions_.put(i, from.data() + i * d);
}

}  // namespace labelquorum
