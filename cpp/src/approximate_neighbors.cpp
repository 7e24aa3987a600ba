// Nearest neighbours with a wanted recall.
//
// Rows are projected to the few directions in which they vary most, and put into cells, each around
// a center (k-means), as an inverted file does. A query is compared with the points of its own cell
// and of those cells that lie nearly as close; the best of them by projected distance make its
// shortlist, which is measured in full, in double precision.
//
// How many cells are visited and how long the shortlists are is read off a sample of queries whose
// neighbours are found exactly beforehand. The recall that is reported is that of another sample.
#include "approximate_neighbors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "dot_tile.hpp"
#include "exact_neighbors.hpp"
#include "lines.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t min_rows = 4096;  // below, exact search is as fast
constexpr std::size_t n_sampled = 200;  // queries of each of the two samples
constexpr std::size_t max_variance_rows = 4096;
constexpr std::size_t max_unprojected = 96;  // columns
constexpr double kept_variance = 0.85;
constexpr std::size_t max_directions = 256;
constexpr std::size_t n_power_steps = 4;
constexpr std::size_t max_cells = 8192;
constexpr std::size_t training_rows_per_cell = 32;
constexpr std::size_t n_training_steps = 5;
constexpr std::size_t block_rows = 1024;
constexpr std::size_t task_queries = 512;
// A value measured in double precision costs about as much as this many in tiles.
constexpr double measuring_cost = 16;
constexpr float no_limit = std::numeric_limits<float>::infinity();
constexpr float no_number = std::numeric_limits<float>::quiet_NaN();

using Ids = std::span<const std::uint32_t>;

constexpr std::size_t rounded_up(std::size_t n, std::size_t step) {
    return (n + step - 1) / step * step;
}

std::size_t panels_of(std::size_t n, std::size_t width) { return (n + width - 1) / width; }

// Single-precision rows in panels of points, for DotTile.
class PackedRows {
public:
    PackedRows() : tile_(&precise_dot_tile()) {}

    void resize(std::size_t n_rows, std::size_t n_columns) {
        n_panels_ = panels_of(n_rows, tile_->n_points);
        n_columns_ = n_columns;
        data_.resize(n_panels_ * panel_bytes());
    }
    std::size_t n_panels() const { return n_panels_; }
    std::size_t panel_bytes() const { return tile_->n_points * n_columns_ * tile_->value_bytes; }
    void put(std::size_t i, const float* row) {
        tile_->put_point(row, n_columns_, i % tile_->n_points,
                         data_.as<char>() + i / tile_->n_points * panel_bytes());
    }
    const char* panel(std::size_t p) const { return data_.as<char>() + p * panel_bytes(); }

private:
    const DotTile* tile_;
    std::size_t n_panels_ = 0;
    std::size_t n_columns_ = 0;
    Lines data_;
};

// Calls body(query, panel, dots) for every panel of points and every query of a few panels of them.
class Multiplier {
public:
    explicit Multiplier(std::size_t n_columns) : n_columns_(n_columns) {}

    const DotTile& tile() const { return tile_; }

    // row(q, to) writes query q. Points: n_panels from first_panel on.
    template <class Row, class Body>
    void operator()(std::size_t n_queries, Row&& row, const PackedRows& points,
                    std::size_t first_panel, std::size_t n_panels, Body&& body) {
        queries_.resize(tile_.n_queries * n_columns_ * tile_.value_bytes);
        dots_.resize(max_dots_per_tile * sizeof(float));
        row_.resize(n_columns_);
        for (std::size_t begin = 0; begin < n_queries; begin += tile_.n_queries) {
            const std::size_t n = std::min(tile_.n_queries, n_queries - begin);
            for (std::size_t q = 0; q < n; ++q) {
                row(begin + q, row_.data());
                tile_.put_query(row_.data(), n_columns_, q, queries_.as<char>());
            }
            for (std::size_t p = 0; p < n_panels; ++p) {
                tile_.multiply(queries_.as<char>(), points.panel(first_panel + p), 1, n_columns_,
                               dots_.as<float>());
                for (std::size_t q = 0; q < n; ++q) {
                    body(begin + q, p, dots_.as<float>() + q * tile_.n_points);
                }
            }
        }
    }

private:
    const DotTile& tile_ = precise_dot_tile();
    std::size_t n_columns_;
    Lines queries_;
    Lines dots_;
    std::vector<float> row_;
};

// `n` of the numbers below `of`, ascending.
std::vector<std::uint32_t> sample(std::size_t n, std::size_t of, std::mt19937_64& random) {
    std::vector<std::uint32_t> chosen;
    chosen.reserve(n);
    for (std::size_t i = 0; i < of && chosen.size() < n; ++i) {
        if (random() % (of - i) < n - chosen.size()) {
            chosen.push_back(static_cast<std::uint32_t>(i));
        }
    }
    return chosen;
}

// The coordinates in which rows are compared: of the row less a center, scaled, and along the
// directions of most variance where these are few. For inner products a point has one coordinate
// more, which makes all points equally long, so that the nearest have the largest product (Bachrach
// et al., RecSys 2014).
class Space {
public:
    // largest: absolute value of the rows as they are compared.
    Space(const Points& points, const Measure& measure, double largest, std::mt19937_64& random,
          const Executor& executor)
        : measure_(measure),
          center_(points.n_columns, 0.0),
          // Squares have to fit a float.
          scale_(largest > 0 ? std::ldexp(1.0, std::clamp(-std::ilogb(largest) - 2, -500, 500))
                             : 1) {
        const std::vector<std::uint32_t> chosen =
            sample(std::min(points.n_rows, max_variance_rows), points.n_rows, random);
        const std::size_t n = chosen.size();
        const std::size_t d = points.n_columns;
        std::vector<double> rows(n * d);
        for (std::size_t i = 0; i < n; ++i) {
            executor.checkpoint();
            measure.read(points, chosen[i], rows.data() + i * d);
            for (std::size_t c = 0; c < d; ++c) center_[c] += rows[i * d + c];
        }
        for (double& value : center_) value /= static_cast<double>(n);
        if (lifted()) length_ = longest(points, executor);
        if (d <= max_unprojected) return;
        std::vector<float> columns(d * n);
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t c = 0; c < d; ++c) {
                columns[c * n + i] = static_cast<float>((rows[i * d + c] - center_[c]) * scale_);
            }
        }
        find_directions(columns, n, executor);
    }

    std::size_t n_columns() const {
        return (n_directions_ > 0 ? n_directions_ : center_.size()) + (lifted() ? 1 : 0);
    }

    // Of all rows, n_columns() each.
    std::vector<float> coordinates(const Points& from, bool as_points,
                                   const Executor& executor) const {
        const std::size_t d = center_.size();
        const std::size_t m = n_columns();
        executor.require_memory(from.n_rows * m * sizeof(float), "the coordinates of the points");
        std::vector<float> to(from.n_rows * m);
        executor.run_ranges(from.n_rows, block_rows, [&](std::size_t begin, std::size_t end, int) {
            executor.checkpoint();
            std::vector<double> row(d);
            Multiplier multiply(d);
            const std::size_t width = multiply.tile().n_points;
            const auto read = [&](std::size_t i, float* values) {
                measure_.read(from, begin + i, row.data());
                if (lifted()) {
                    const double squares =
                        scale_ * scale_ * precise_dot_tile().dot(row.data(), row.data(), d);
                    to[(begin + i) * m + m - 1] =
                        as_points ? static_cast<float>(std::sqrt(std::max(0.0, length_ - squares)))
                                  : 0;
                }
                for (std::size_t c = 0; c < d; ++c) {
                    values[c] = static_cast<float>((row[c] - center_[c]) * scale_);
                }
            };
            if (n_directions_ == 0) {
                for (std::size_t i = begin; i < end; ++i) read(i - begin, to.data() + i * m);
                return;
            }
            multiply(end - begin, read, directions_, 0, directions_.n_panels(),
                     [&](std::size_t i, std::size_t panel, const float* dots) {
                         const std::size_t first = panel * width;
                         std::copy_n(dots, std::min(width, n_directions_ - first),
                                     to.data() + (begin + i) * m + first);
                     });
        });
        return to;
    }

private:
    bool lifted() const { return measure_.metric() == Metric::inner_product; }

    // The square of the longest point's length.
    double longest(const Points& points, const Executor& executor) const {
        const std::size_t d = points.n_columns;
        std::vector<double> of_blocks(panels_of(points.n_rows, block_rows), 0.0);
        executor.run_ranges(
            points.n_rows, block_rows, [&](std::size_t begin, std::size_t end, int) {
                std::vector<double> row(d);
                double& most = of_blocks[begin / block_rows];
                for (std::size_t i = begin; i < end; ++i) {
                    measure_.read(points, i, row.data());
                    for (double& value : row) value *= scale_;
                    most = std::max(most, precise_dot_tile().dot(row.data(), row.data(), d));
                }
            });
        return *std::max_element(of_blocks.begin(), of_blocks.end());
    }

    // The products of all rows with all others of a matrix of n_rows x n_columns.
    static void multiply(std::span<const float> a, std::span<const float> b, std::size_t n_columns,
                         std::vector<float>& to, const Executor& executor) {
        const std::size_t n_a = a.size() / n_columns;
        const std::size_t n_b = b.size() / n_columns;
        PackedRows points;
        points.resize(n_b, n_columns);
        for (std::size_t i = 0; i < n_b; ++i) points.put(i, b.data() + i * n_columns);
        to.resize(n_a * n_b);
        executor.run_ranges(n_a, 96, [&](std::size_t begin, std::size_t end, int) {
            Multiplier multiplier(n_columns);
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

    // Makes rows orthogonal and of length 1, one after the other.
    static void orthonormalize(std::vector<double>& rows, std::size_t n_columns) {
        const DotTile& tile = precise_dot_tile();
        for (std::size_t i = 0; i * n_columns < rows.size(); ++i) {
            double* row = rows.data() + i * n_columns;
            for (std::size_t j = 0; j < i; ++j) {
                const double* other = rows.data() + j * n_columns;
                const double dot = tile.dot(row, other, n_columns);
                for (std::size_t c = 0; c < n_columns; ++c) row[c] -= dot * other[c];
            }
            const double squares = tile.dot(row, row, n_columns);
            // Where no direction is left, zeros project to nothing.
            const double factor = squares > 1e-30 ? 1 / std::sqrt(squares) : 0;
            for (std::size_t c = 0; c < n_columns; ++c) row[c] *= factor;
        }
    }

    // Finds those of most variance by orthogonal iteration. Without them, where they are many, all
    // columns are compared.
    void find_directions(const std::vector<float>& columns, std::size_t n,
                         const Executor& executor) {
        const std::size_t d = center_.size();
        std::vector<float> covariance;
        multiply(columns, columns, n, covariance, executor);
        double total = 0;
        for (std::size_t c = 0; c < d; ++c) total += covariance[c * d + c];
        if (total == 0) return;
        for (float& value : covariance) value /= static_cast<float>(total);
        const std::size_t most = std::min(d / 2, max_directions);
        std::mt19937_64 random(1);
        std::vector<double> rows(most * d);
        for (double& value : rows) value = static_cast<double>(random() % 65536) / 32768 - 1;
        std::vector<float> from;
        std::vector<float> to;
        std::vector<double> variance(most);
        for (std::size_t step = 0; step < n_power_steps; ++step) {
            orthonormalize(rows, d);
            executor.checkpoint();
            from.assign(rows.begin(), rows.end());
            multiply(from, covariance, d, to, executor);
            std::vector<double> next(to.begin(), to.end());
            for (std::size_t i = 0; i < most; ++i) {
                variance[i] = precise_dot_tile().dot(rows.data() + i * d, next.data() + i * d, d);
            }
            rows.swap(next);
        }
        orthonormalize(rows, d);
        double kept = 0;
        std::size_t m = 0;
        while (m < most && kept < kept_variance) kept += variance[m++];
        if (kept < kept_variance) return;
        n_directions_ = std::min(most, rounded_up(m, 8));
        directions_.resize(n_directions_, d);
        from.assign(rows.begin(), rows.end());
        for (std::size_t i = 0; i < n_directions_; ++i) directions_.put(i, from.data() + i * d);
    }

    const Measure& measure_;
    std::vector<double> center_;
    double scale_;
    double length_ = 0;  // square of the longest point's
    std::size_t n_directions_ = 0;
    PackedRows directions_;
};

// The points of Voronoi cells, ready to be compared.
class Cells {
public:
    // rows: n_columns coordinates of each point.
    Cells(std::span<const float> rows, std::size_t n_columns, std::mt19937_64& random,
          const Executor& executor)
        : n_columns_(n_columns) {
        train(rows, random, executor);
        homes_ = nearest_centers(rows, executor);
        group(homes_, begins_, ids_);
        fill(rows, executor);
    }

    std::size_t n_cells() const { return begins_.size() - 1; }
    std::size_t n_columns() const { return n_columns_; }
    const double* center(std::size_t cell) const { return centers_.data() + cell * n_columns_; }
    std::size_t n_points(std::size_t cell) const { return begins_[cell + 1] - begins_[cell]; }
    Ids points(std::size_t cell) const { return Ids(ids_).subspan(begins_[cell], n_points(cell)); }
    // Of each point, in their order.
    const std::vector<std::uint32_t>& homes() const { return homes_; }

    std::size_t first_panel(std::size_t cell) const { return first_panels_[cell]; }
    std::size_t n_panels(std::size_t cell) const {
        return first_panels_[cell + 1] - first_panels_[cell];
    }
    // Points less the center of their cell.
    const PackedRows& panels() const { return panels_; }
    // Squares of each point of a panel; NaN without a point.
    const float* squares(std::size_t panel) const {
        return squares_.data() + panel * precise_dot_tile().n_points;
    }

    // The cell whose center is nearest to each row.
    std::vector<std::uint32_t> nearest_centers(std::span<const float> rows,
                                               const Executor& executor) const {
        const std::size_t n_rows = rows.size() / n_columns_;
        const DotTile& tile = precise_dot_tile();
        const std::size_t n_cells = centers_.size() / n_columns_;
        PackedRows packed;
        packed.resize(n_cells, n_columns_);
        std::vector<float> squares(packed.n_panels() * tile.n_points, no_number);
        const std::vector<float> no_limits(tile.n_points, no_number);
        std::vector<float> center(n_columns_);
        for (std::size_t cell = 0; cell < n_cells; ++cell) {
            double sum = 0;
            for (std::size_t c = 0; c < n_columns_; ++c) {
                const double value = centers_[cell * n_columns_ + c];
                center[c] = static_cast<float>(value);
                sum += value * value;
            }
            packed.put(cell, center.data());
            squares[cell] = static_cast<float>(sum);
        }
        std::vector<std::uint32_t> homes(n_rows, 0);
        executor.run_ranges(n_rows, block_rows, [&](std::size_t begin, std::size_t end, int) {
            executor.checkpoint();
            std::vector<float> nearest(end - begin, no_limit);
            Multiplier multiply(n_columns_);
            multiply(
                end - begin,
                [&](std::size_t i, float* row) {
                    std::copy_n(rows.data() + (begin + i) * n_columns_, n_columns_, row);
                },
                packed, 0, packed.n_panels(),
                [&](std::size_t i, std::size_t panel, const float* dots) {
                    const std::size_t first = panel * tile.n_points;
                    std::uint32_t bits = tile.within(dots, 2, no_number, nearest[i],
                                                     squares.data() + first, no_limits.data())
                                             .query;
                    for (; bits != 0; bits &= bits - 1) {
                        const auto p = static_cast<std::size_t>(std::countr_zero(bits));
                        const float distance = squares[first + p] - 2 * dots[p];
                        if (!(distance < nearest[i])) continue;
                        nearest[i] = distance;
                        homes[begin + i] = static_cast<std::uint32_t>(first + p);
                    }
                });
        });
        return homes;
    }

    // Row numbers by cell, and where each cell's begin.
    void group(const std::vector<std::uint32_t>& homes, std::vector<std::size_t>& begins,
               std::vector<std::uint32_t>& ids) const {
        begins.assign(centers_.size() / n_columns_ + 1, 0);
        for (const std::uint32_t home : homes) ++begins[home + 1];
        std::partial_sum(begins.begin(), begins.end(), begins.begin());
        std::vector<std::size_t> next(begins.begin(), begins.end() - 1);
        ids.resize(homes.size());
        for (std::size_t i = 0; i < homes.size(); ++i) {
            ids[next[homes[i]]++] = static_cast<std::uint32_t>(i);
        }
    }

private:
    // k-means on a part of the points.
    void train(std::span<const float> rows, std::mt19937_64& random, const Executor& executor) {
        const std::size_t n_rows = rows.size() / n_columns_;
        const std::size_t n_cells = std::min(
            static_cast<std::size_t>(2 * std::sqrt(static_cast<double>(n_rows))), max_cells);
        std::vector<float> chosen;
        for (const std::uint32_t i :
             sample(std::min(n_rows, n_cells * training_rows_per_cell), n_rows, random)) {
            const float* row = rows.data() + i * n_columns_;
            chosen.insert(chosen.end(), row, row + n_columns_);
        }
        centers_.clear();
        for (const std::uint32_t i : sample(n_cells, chosen.size() / n_columns_, random)) {
            const float* row = chosen.data() + i * n_columns_;
            centers_.insert(centers_.end(), row, row + n_columns_);
        }
        for (std::size_t step = 0; step < n_training_steps; ++step) {
            const std::vector<std::uint32_t> homes = nearest_centers(chosen, executor);
            std::vector<double> sums(centers_.size(), 0.0);
            std::vector<double> counts(n_cells, 0.0);
            for (std::size_t i = 0; i < homes.size(); ++i) {
                ++counts[homes[i]];
                double* sum = sums.data() + homes[i] * n_columns_;
                const float* row = chosen.data() + i * n_columns_;
                for (std::size_t c = 0; c < n_columns_; ++c) sum[c] += row[c];
            }
            for (std::size_t cell = 0; cell < n_cells; ++cell) {
                if (counts[cell] == 0) continue;
                for (std::size_t c = cell * n_columns_; c < (cell + 1) * n_columns_; ++c) {
                    centers_[c] = sums[c] / counts[cell];
                }
            }
        }
    }

    void fill(std::span<const float> rows, const Executor& executor) {
        const std::size_t width = precise_dot_tile().n_points;
        const std::size_t n_cells = begins_.size() - 1;
        first_panels_.assign(n_cells + 1, 0);
        for (std::size_t cell = 0; cell < n_cells; ++cell) {
            first_panels_[cell + 1] = first_panels_[cell] + panels_of(n_points(cell), width);
        }
        const std::size_t n_places = first_panels_.back() * width;
        executor.require_memory(n_places * (n_columns_ + 1) * sizeof(float), "the cells of points");
        panels_.resize(n_places, n_columns_);
        squares_.assign(n_places, no_number);
        executor.run(n_cells, [&](std::size_t cell, int) {
            executor.checkpoint();
            std::vector<float> row(n_columns_);
            std::size_t place = first_panels_[cell] * width;
            for (const std::uint32_t i : points(cell)) {
                double sum = 0;
                for (std::size_t c = 0; c < n_columns_; ++c) {
                    const double value = rows[i * n_columns_ + c] - center(cell)[c];
                    row[c] = static_cast<float>(value);
                    sum += value * value;
                }
                panels_.put(place, row.data());
                squares_[place++] = static_cast<float>(sum);
            }
        });
    }

    std::size_t n_columns_;
    std::vector<double> centers_;
    std::vector<std::uint32_t> homes_;
    std::vector<std::size_t> begins_;
    std::vector<std::uint32_t> ids_;
    std::vector<std::size_t> first_panels_;
    PackedRows panels_;
    std::vector<float> squares_;
};

// How far a search goes.
struct Effort {
    std::size_t n_cells;      // visited by a query at most, its own included
    double reach;             // farther ones are not: see Visits
    std::size_t n_shortlist;  // points measured in full
};

struct Found {
    float distance;  // squared, by coordinates
    std::uint32_t index;
    bool operator<(const Found& other) const {
        return distance != other.distance ? distance < other.distance : index < other.index;
    }
};

// The nearest of what it is given.
class Shortlist {
public:
    void reset(std::size_t n) {
        n_ = n;
        found_.clear();
        limit_ = no_limit;
    }
    float limit() const { return limit_; }
    void add(const Found& found) {
        if (!(found.distance <= limit_)) return;
        found_.push_back(found);
        if (found_.size() >= 2 * n_ + 32) trim();
    }
    // Of the k-th nearest so far.
    float distance(std::size_t k) {
        if (found_.size() < k) return no_limit;
        const auto kth = found_.begin() + static_cast<std::ptrdiff_t>(k - 1);
        std::nth_element(found_.begin(), kth, found_.end());
        return kth->distance;
    }
    const std::vector<Found>& sorted() {
        if (found_.size() > n_) trim();
        std::sort(found_.begin(), found_.end());
        return found_;
    }

private:
    void trim() {
        const auto last = found_.begin() + static_cast<std::ptrdiff_t>(n_ - 1);
        std::nth_element(found_.begin(), last, found_.end());
        limit_ = last->distance;
        found_.resize(n_);
    }

    std::size_t n_ = 0;
    float limit_ = no_limit;
    std::vector<Found> found_;
};

// A cell not far from that of a task, and the square of the distance of their centers.
struct NearCell {
    double squares;
    std::uint32_t cell;
    bool operator<(const NearCell& other) const {
        return squares != other.squares ? squares < other.squares : cell < other.cell;
    }
};

// How much farther the center of a near cell lies from a query than that of its own: the difference
// of the squared distances.
struct Visit {
    float gap;
    std::uint32_t near;  // number of the near cell
    bool operator<(const Visit& other) const {
        return gap != other.gap ? gap < other.gap : near < other.near;
    }
};

// Queries of one cell.
struct Task {
    std::uint32_t cell;
    Ids queries;
};

std::vector<Task> tasks_of(const std::vector<std::size_t>& begins,
                           const std::vector<std::uint32_t>& ids) {
    std::vector<Task> tasks;
    for (std::size_t cell = 0; cell + 1 < begins.size(); ++cell) {
        for (std::size_t begin = begins[cell]; begin < begins[cell + 1]; begin += task_queries) {
            const std::size_t n = std::min(task_queries, begins[cell + 1] - begin);
            tasks.push_back({static_cast<std::uint32_t>(cell), Ids(ids).subspan(begin, n)});
        }
    }
    return tasks;
}

// Compares the queries of a task with the points of cells; one per worker.
class CellSearch {
public:
    // coordinates: of all queries.
    CellSearch(std::span<const float> coordinates, bool same, std::size_t k, const Cells& cells)
        : coordinates_(coordinates),
          same_(same),
          k_(k),
          cells_(cells),
          multiply_(cells.n_columns()) {}

    // Fills the shortlists of a task's queries.
    void run(const Task& task, const Effort& effort) {
        begin(task, effort.n_shortlist);
        choose(effort.reach);
        visitors_.resize(near_.size());
        for (auto& visitors : visitors_) visitors.clear();
        for (std::size_t q = 0; q < n_; ++q) {
            std::vector<Visit>& visits = visits_[q];
            if (radii_[q] == no_limit) {
                std::sort(visits.begin(), visits.end());
                visits.resize(n_needed(visits, effort.n_cells));
            } else if (visits.size() + 1 > effort.n_cells) {
                const auto end = visits.begin() + static_cast<std::ptrdiff_t>(effort.n_cells - 1);
                std::nth_element(visits.begin(), end, visits.end());
                visits.erase(end, visits.end());
            }
            for (const Visit& one : visits) {
                visitors_[one.near].push_back(static_cast<std::uint32_t>(q));
            }
        }
        for (std::size_t i = 0; i < near_.size(); ++i) {
            if (visitors_[i].empty()) continue;
            chosen_.swap(visitors_[i]);
            visit(near_[i].cell);
        }
    }

    // Of a query with too few in its own cell: the sorted visits that make up for it.
    std::size_t n_needed(const std::vector<Visit>& visits, std::size_t n_cells) const {
        std::size_t n_points = cells_.n_points(task_.cell);
        std::size_t n = 0;
        while (n < visits.size() && (n + 1 < n_cells || n_points <= 2 * k_)) {
            n_points += cells_.n_points(near_[visits[n++].near].cell);
        }
        return n;
    }

    // Compares with the own cell only, and finds all others by their gap.
    void look_around(const Task& task) {
        begin(task, 2 * k_);
        choose(std::numeric_limits<double>::infinity());
    }

    Shortlist& shortlist(std::size_t query) { return shortlists_[query]; }
    // Squared distance of the k-th nearest in a query's own cell.
    float radius(std::size_t query) const { return radii_[query]; }
    std::vector<Visit>& visits(std::size_t query) { return visits_[query]; }
    std::uint32_t cell(const Visit& visit) const { return near_[visit.near].cell; }

private:
    void begin(const Task& task, std::size_t n_shortlist) {
        const std::size_t m = cells_.n_columns();
        task_ = task;
        n_ = task.queries.size();
        rows_.resize(n_ * m);
        const double* center = cells_.center(task.cell);
        squares_.assign(n_, 0.0);
        for (std::size_t q = 0; q < n_; ++q) {
            const float* row = coordinates_.data() + task.queries[q] * m;
            for (std::size_t c = 0; c < m; ++c) {
                rows_[q * m + c] = row[c] - center[c];
                squares_[q] += rows_[q * m + c] * rows_[q * m + c];
            }
        }
        if (shortlists_.size() < n_) shortlists_.resize(n_);
        for (std::size_t q = 0; q < n_; ++q) shortlists_[q].reset(n_shortlist);
        chosen_.resize(n_);
        std::iota(chosen_.begin(), chosen_.end(), 0U);
        visit(task.cell);
        radii_.resize(n_);
        for (std::size_t q = 0; q < n_; ++q) radii_[q] = shortlists_[q].distance(k_);
    }

    // The chosen queries with the points of a cell.
    void visit(std::uint32_t cell) {
        const std::size_t m = cells_.n_columns();
        const DotTile& tile = multiply_.tile();
        const double* own = cells_.center(task_.cell);
        const double* other = cells_.center(cell);
        shift_.resize(m);
        for (std::size_t c = 0; c < m; ++c) shift_[c] = own[c] - other[c];
        query_squares_.resize(chosen_.size());
        no_numbers_.assign(tile.n_points, no_number);
        const Ids ids = cells_.points(cell);
        const std::size_t first_panel = cells_.first_panel(cell);
        multiply_(
            chosen_.size(),
            [&](std::size_t i, float* row) {
                const double* from = rows_.data() + chosen_[i] * m;
                double sum = 0;
                for (std::size_t c = 0; c < m; ++c) {
                    const double value = from[c] + shift_[c];
                    row[c] = static_cast<float>(value);
                    sum += value * value;
                }
                query_squares_[i] = static_cast<float>(sum);
            },
            cells_.panels(), first_panel, cells_.n_panels(cell),
            [&](std::size_t i, std::size_t panel, const float* dots) {
                Shortlist& shortlist = shortlists_[chosen_[i]];
                const float* squares = cells_.squares(first_panel + panel);
                std::uint32_t bits =
                    tile.within(dots, 2, no_number, shortlist.limit() - query_squares_[i], squares,
                                no_numbers_.data())
                        .query;
                for (; bits != 0; bits &= bits - 1) {
                    const auto p = static_cast<std::size_t>(std::countr_zero(bits));
                    const std::uint32_t id = ids[panel * tile.n_points + p];
                    if (same_ && id == task_.queries[chosen_[i]]) continue;
                    shortlist.add({query_squares_[i] + (squares[p] - 2 * dots[p]), id});
                }
            });
    }

    // The cells whose gap is at most `reach` times a query's radius.
    void choose(double reach) {
        const std::size_t m = cells_.n_columns();
        const DotTile& tile = multiply_.tile();
        if (visits_.size() < n_) visits_.resize(n_);
        double longest = 0;
        double limit = 0;
        limits_.resize(n_);
        for (std::size_t q = 0; q < n_; ++q) {
            visits_[q].clear();
            limits_[q] = radii_[q] == no_limit ? no_limit : static_cast<float>(reach * radii_[q]);
            longest = std::max(longest, squares_[q]);
            limit = std::max(limit, static_cast<double>(limits_[q]));
        }
        longest = std::sqrt(longest);
        near_.clear();
        const double* own = cells_.center(task_.cell);
        for (std::uint32_t cell = 0; cell < cells_.n_cells(); ++cell) {
            if (cell == task_.cell || cells_.n_points(cell) == 0) continue;
            const double squares = precise_dot_tile().squared_distance(own, cells_.center(cell), m);
            // No query's gap is less than this.
            if (squares - 2 * longest * std::sqrt(squares) > limit) continue;
            near_.push_back({squares, cell});
        }
        std::sort(near_.begin(), near_.end());
        packed_.resize(near_.size(), m);
        gaps_.clear();
        std::vector<float> row(m);
        for (std::size_t i = 0; i < near_.size(); ++i) {
            const double* other = cells_.center(near_[i].cell);
            for (std::size_t c = 0; c < m; ++c) row[c] = static_cast<float>(other[c] - own[c]);
            packed_.put(i, row.data());
            gaps_.push_back(static_cast<float>(near_[i].squares));
        }
        gaps_.resize(packed_.n_panels() * tile.n_points, no_number);
        no_numbers_.assign(tile.n_points, no_number);
        multiply_(
            n_,
            [&](std::size_t q, float* to) {
                for (std::size_t c = 0; c < m; ++c) to[c] = static_cast<float>(rows_[q * m + c]);
            },
            packed_, 0, packed_.n_panels(),
            [&](std::size_t q, std::size_t panel, const float* dots) {
                const float* squares = gaps_.data() + panel * tile.n_points;
                std::uint32_t bits =
                    tile.within(dots, 2, no_number, limits_[q], squares, no_numbers_.data()).query;
                for (; bits != 0; bits &= bits - 1) {
                    const auto p = static_cast<std::size_t>(std::countr_zero(bits));
                    visits_[q].push_back({squares[p] - 2 * dots[p],
                                          static_cast<std::uint32_t>(panel * tile.n_points + p)});
                }
            });
    }

    std::span<const float> coordinates_;
    bool same_;
    std::size_t k_;
    const Cells& cells_;
    Multiplier multiply_;
    Task task_{};
    std::size_t n_ = 0;
    std::vector<double> rows_;  // less the center of their cell
    std::vector<double> squares_;
    std::vector<double> shift_;
    std::vector<std::uint32_t> chosen_;
    std::vector<float> query_squares_;
    std::vector<float> radii_;
    std::vector<float> limits_;
    std::vector<float> no_numbers_;
    std::vector<Shortlist> shortlists_;
    std::vector<std::vector<Visit>> visits_;
    std::vector<NearCell> near_;                        // nearest first
    std::vector<std::vector<std::uint32_t>> visitors_;  // of each
    std::vector<float> gaps_;
    PackedRows packed_;
};

// Queries whose neighbours are known.
struct Truth {
    std::vector<std::uint32_t> queries;  // ascending
    std::vector<std::int64_t> neighbors;
    std::vector<double> radii;  // distance of the k-th
};

// A mean of shares, one for each query, and what it is at least, but for one case of 20.
struct Share {
    double mean;
    double least;
};
Share share_of(const std::vector<double>& of_queries) {
    const auto n = static_cast<double>(of_queries.size());
    const double mean = std::accumulate(of_queries.begin(), of_queries.end(), 0.0) / n;
    double squares = 0;
    for (const double value : of_queries) squares += (value - mean) * (value - mean);
    const double error = std::sqrt(squares / (n - 1) / n);
    return {mean, mean - 1.645 * error};
}

class Search {
public:
    Search(const Points& points, const Points* queries, std::size_t k, const Measure& measure,
           double largest, const Executor& executor)
        : points_(points),
          queries_(queries == nullptr ? points : *queries),
          same_(queries == nullptr),
          k_(k),
          measure_(measure),
          executor_(executor),
          random_(0),
          space_(points, measure, largest, random_, executor),
          coordinates_(space_.coordinates(points, true, executor)),
          cells_(coordinates_, space_.n_columns(), random_, executor) {
        if (!same_ || measure.metric() == Metric::inner_product) {
            coordinates_ = space_.coordinates(queries_, false, executor);
            homes_ = cells_.nearest_centers(coordinates_, executor);
        }
    }

    // The cheapest effort whose recall is at least the wanted one for a sample, or none that is
    // cheaper than comparing everything.
    std::optional<Effort> tune(const Truth& truth, double recall) {
        const std::vector<Task> tasks = tasks_for(truth.queries);
        std::vector<Trail> trails = look_around(tasks, truth);
        const double all = static_cast<double>(points_.n_rows) *
                           static_cast<double>(points_.n_columns) / (same_ ? 2 : 1);
        std::optional<Effort> best;
        double best_cost = all;
        // Of what may be missed, the part that the cells miss; the shortlists miss the rest.
        for (const double part : {0.7, 0.45, 0.2, 0.0}) {
            std::optional<Effort> effort = choose_cells(trails, 1 - (1 - recall) * part);
            if (!effort || cost_ >= best_cost) continue;
            effort->n_shortlist = shorten(tasks, truth, *effort, recall);
            const double cost = cost_ + measuring_cost * static_cast<double>(effort->n_shortlist *
                                                                             points_.n_columns);
            if (effort->n_shortlist == 0 || cost >= best_cost) continue;
            best = effort;
            best_cost = cost;
        }
        if (std::getenv("LQ_DEBUG") && best)
            fprintf(stderr, "m %zu cells %zu reach %.2f short %zu cost %.0f all %.0f\n",
                    cells_.n_columns(), best->n_cells, best->reach, best->n_shortlist, best_cost,
                    all);
        return best;
    }

    template <class Distance>
    void run(const Effort& effort, Neighbors<Distance>& result) {
        std::vector<std::size_t> begins;
        std::vector<std::uint32_t> ids;
        cells_.group(homes(), begins, ids);
        const std::vector<Task> tasks = tasks_of(begins, ids);
        std::vector<CellSearch> searches = workers(tasks.size());
        executor_.stage("neighbors", 0.2, 1);
        executor_.run(tasks.size(), [&](std::size_t t, int worker) {
            executor_.checkpoint();
            CellSearch& search = searches[static_cast<std::size_t>(worker)];
            search.run(tasks[t], effort);
            const Ids queries = tasks[t].queries;
            // So many at once that they stay in a cache.
            const std::size_t n_at_once = std::max<std::size_t>(8, 32768 / points_.n_columns);
            for (std::size_t begin = 0; begin < queries.size(); begin += n_at_once) {
                const std::size_t end = std::min(queries.size(), begin + n_at_once);
                std::vector<std::vector<Measured>> all = measure_all(search, queries, begin, end);
                for (std::size_t q = begin; q < end; ++q) {
                    std::vector<Measured>& measured = all[q - begin];
                    std::partial_sort(measured.begin(),
                                      measured.begin() + static_cast<std::ptrdiff_t>(k_),
                                      measured.end());
                    for (std::size_t j = 0; j < k_; ++j) {
                        const std::size_t to = queries[q] * k_ + j;
                        result.distances[to] =
                            static_cast<Distance>(measure_.final_distance(measured[j].distance));
                        result.indices[to] = measured[j].index;
                    }
                }
            }
        });
    }

private:
    // What a query of a sample meets on its way.
    struct Trail {
        std::vector<Visit> visits;        // sorted
        std::vector<std::size_t> costs;   // of the first so many
        std::vector<std::size_t> places;  // of its neighbours: 0 in its own cell
        double radius;
        std::size_t n_needed;  // visits at least, where the own cell is too small
    };

    struct Measured {
        double distance;
        std::uint32_t index;
        bool operator<(const Measured& other) const {
            return distance != other.distance ? distance < other.distance : index < other.index;
        }
    };

    const std::vector<std::uint32_t>& homes() const {
        return homes_.empty() ? cells_.homes() : homes_;
    }

    std::vector<CellSearch> workers(std::size_t n_tasks) const {
        std::vector<CellSearch> all;
        for (int w = 0; w < executor_.n_workers(n_tasks); ++w) {
            all.emplace_back(coordinates_, same_, k_, cells_);
        }
        return all;
    }

    // One for each query.
    std::vector<Task> tasks_for(Ids queries) const {
        std::vector<Task> tasks;
        for (std::size_t i = 0; i < queries.size(); ++i) {
            tasks.push_back({homes()[queries[i]], queries.subspan(i, 1)});
        }
        return tasks;
    }

    std::vector<Trail> look_around(const std::vector<Task>& tasks, const Truth& truth) {
        std::vector<Trail> trails(tasks.size());
        std::vector<CellSearch> searches = workers(tasks.size());
        executor_.run(tasks.size(), [&](std::size_t t, int worker) {
            executor_.checkpoint();
            CellSearch& search = searches[static_cast<std::size_t>(worker)];
            search.look_around(tasks[t]);
            Trail& trail = trails[t];
            trail.visits = search.visits(0);
            trail.radius = search.radius(0);
            std::sort(trail.visits.begin(), trail.visits.end());
            trail.n_needed = search.n_needed(trail.visits, 1);
            std::vector<std::size_t> place(cells_.n_cells(), 0);
            trail.costs.push_back(cells_.n_points(tasks[t].cell));
            for (std::size_t v = 0; v < trail.visits.size(); ++v) {
                const std::uint32_t cell = search.cell(trail.visits[v]);
                place[cell] = v + 1;
                trail.costs.push_back(trail.costs.back() + cells_.n_points(cell));
            }
            for (std::size_t j = 0; j < k_; ++j) {
                const auto neighbor = static_cast<std::size_t>(truth.neighbors[t * k_ + j]);
                trail.places.push_back(place[cells_.homes()[neighbor]]);
            }
        });
        return trails;
    }

    // The cheapest way to reach a share of the neighbours. Sets cost_ to values multiplied for a
    // query.
    std::optional<Effort> choose_cells(const std::vector<Trail>& trails, double wanted) {
        std::optional<Effort> best;
        const auto n = static_cast<double>(trails.size());
        for (const std::size_t n_cells : cell_ladder) {
            for (const double reach : reach_ladder) {
                double cost = 0;
                double share = 0;
                for (std::size_t t = 0; t < trails.size(); ++t) {
                    const Trail& trail = trails[t];
                    const double limit = std::isinf(trail.radius)
                                             ? std::numeric_limits<double>::infinity()
                                             : reach * trail.radius;
                    const auto end = std::partition_point(
                        trail.visits.begin(), trail.visits.end(),
                        [&](const Visit& visit) { return visit.gap <= limit; });
                    std::size_t last =
                        std::min(n_cells - 1, static_cast<std::size_t>(end - trail.visits.begin()));
                    if (std::isinf(trail.radius)) last = std::max(last, trail.n_needed);
                    cost += static_cast<double>(trail.costs[last]) / n;
                    const auto met =
                        std::count_if(trail.places.begin(), trail.places.end(),
                                      [&](std::size_t place) { return place <= last; });
                    share += static_cast<double>(met) / static_cast<double>(k_) / n;
                }
                cost = (cost + static_cast<double>(cells_.n_cells())) *
                       static_cast<double>(cells_.n_columns());
                if (share < wanted || (best && cost >= cost_)) continue;
                best = Effort{n_cells, reach, 0};
                cost_ = cost;
            }
        }
        return best;
    }

    // The shortest shortlist that has the wanted recall; 0 for none.
    std::size_t shorten(const std::vector<Task>& tasks, const Truth& truth, Effort effort,
                        double recall) {
        const std::size_t most = std::min(points_.n_rows, std::max<std::size_t>(16 * k_, 256));
        effort.n_shortlist = most;
        // right[t][i]: true neighbours among the first i of the shortlist.
        std::vector<std::vector<std::size_t>> right(tasks.size());
        std::vector<CellSearch> searches = workers(tasks.size());
        executor_.run(tasks.size(), [&](std::size_t t, int worker) {
            executor_.checkpoint();
            CellSearch& search = searches[static_cast<std::size_t>(worker)];
            search.run(tasks[t], effort);
            const std::vector<Measured> measured =
                std::move(measure_all(search, tasks[t].queries, 0, 1)[0]);
            right[t].assign(most + 1, 0);
            for (std::size_t i = 0; i < most; ++i) {
                const bool is_right =
                    i < measured.size() &&
                    measure_.final_distance(measured[i].distance) <= truth.radii[t];
                right[t][i + 1] = right[t][i] + (is_right ? 1 : 0);
            }
        });
        std::vector<double> shares(tasks.size());
        for (std::size_t n = k_; n <= most; n += std::max<std::size_t>(1, n / 8)) {
            for (std::size_t t = 0; t < tasks.size(); ++t) {
                shares[t] =
                    static_cast<double>(std::min(k_, right[t][n])) / static_cast<double>(k_);
            }
            if (share_of(shares).least >= recall) return n;
        }
        return 0;
    }

    // The shortlists of queries [begin, end) of a task, in order. Each point is read but once.
    std::vector<std::vector<Measured>> measure_all(CellSearch& search, Ids queries,
                                                   std::size_t begin, std::size_t end) const {
        struct Pair {
            std::uint32_t point;
            std::uint32_t query;
            std::uint32_t place;
        };
        const std::size_t d = points_.n_columns;
        std::vector<double> rows((end - begin) * d);
        std::vector<std::vector<Measured>> all(end - begin);
        std::vector<Pair> pairs;
        for (std::uint32_t q = 0; q < end - begin; ++q) {
            measure_.read(queries_, queries[begin + q], rows.data() + q * d);
            const std::vector<Found>& found = search.shortlist(begin + q).sorted();
            all[q].resize(found.size());
            for (std::uint32_t i = 0; i < found.size(); ++i) {
                pairs.push_back({found[i].index, q, i});
            }
        }
        std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
            return a.point != b.point ? a.point < b.point : a.query < b.query;
        });
        std::vector<double> point(d);
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            if (i == 0 || pairs[i].point != pairs[i - 1].point) {
                measure_.read(points_, pairs[i].point, point.data());
            }
            all[pairs[i].query][pairs[i].place] = {
                measure_(rows.data() + pairs[i].query * d, point.data()), pairs[i].point};
        }
        return all;
    }

    static constexpr std::array<std::size_t, 14> cell_ladder{1,  2,  3,  4,  6,  8,   12,
                                                             16, 24, 32, 48, 64, 128, max_cells};
    static constexpr std::array<double, 13> reach_ladder{0,
                                                         0.05,
                                                         0.1,
                                                         0.2,
                                                         0.3,
                                                         0.4,
                                                         0.6,
                                                         0.8,
                                                         1,
                                                         1.5,
                                                         2,
                                                         3,
                                                         std::numeric_limits<double>::infinity()};

    const Points& points_;
    const Points& queries_;
    bool same_;
    std::size_t k_;
    const Measure& measure_;
    const Executor& executor_;
    std::mt19937_64 random_;
    Space space_;
    std::vector<float> coordinates_;  // of the points first, then of the queries
    Cells cells_;
    std::vector<std::uint32_t> homes_;  // of the queries, where they are not the points
    double cost_ = 0;
};

// The exact neighbours of some queries.
Truth find_truth(const Points& points, const Points* queries, std::vector<std::uint32_t> chosen,
                 std::size_t k, const Measure& measure, const Survey& of_points,
                 const Executor& executor) {
    const Points& from = queries == nullptr ? points : *queries;
    const std::size_t d = from.n_columns;
    const Measure as_given(Metric::euclidean, d);
    std::vector<double> rows(chosen.size() * d);
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        as_given.read(from, chosen[i], rows.data() + i * d);
    }
    const auto stride = static_cast<std::ptrdiff_t>(d * sizeof(double));
    const Points view{rows.data(), FloatType::f64, stride, sizeof(double), chosen.size(), d};
    const std::size_t extra = queries == nullptr ? 1 : 0;  // for itself
    const Neighbors<double> found =
        exact_neighbors<double>(points, &view, k + extra, measure, of_points, executor);
    Truth truth{std::move(chosen), {}, {}};
    for (std::size_t i = 0; i < truth.queries.size(); ++i) {
        std::size_t n = 0;
        for (std::size_t j = i * found.k; n < k; ++j) {
            if (extra == 1 && found.indices[j] == static_cast<std::int64_t>(truth.queries[i])) {
                continue;
            }
            truth.neighbors.push_back(found.indices[j]);
            if (++n == k) truth.radii.push_back(found.distances[j]);
        }
    }
    return truth;
}

template <class Distance>
Recall recall_of(const Neighbors<Distance>& result, const Truth& truth) {
    std::vector<double> shares;
    for (std::size_t t = 0; t < truth.queries.size(); ++t) {
        const auto* distances = result.distances.data() + truth.queries[t] * result.k;
        const auto n = std::count_if(distances, distances + result.k, [&](Distance distance) {
            return distance <= static_cast<Distance>(truth.radii[t]);
        });
        shares.push_back(static_cast<double>(n) / static_cast<double>(result.k));
    }
    const Share share = share_of(shares);
    return {share.mean, share.least, shares.size()};
}

}  // namespace

template <class Distance>
Neighbors<Distance> approximate_neighbors(const Points& points, const Points* queries,
                                          std::size_t k, const Measure& measure,
                                          const Survey& of_points, double recall,
                                          const Executor& executor) {
    const Points& from = queries == nullptr ? points : *queries;
    const auto exactly = [&] {
        return exact_neighbors<Distance>(points, queries, k, measure, of_points, executor);
    };
    if (std::min(points.n_rows, from.n_rows) < min_rows || 4 * k > points.n_rows) return exactly();
    std::mt19937_64 random(0);
    const Truth all = find_truth(points, queries, sample(2 * n_sampled, from.n_rows, random), k,
                                 measure, of_points, executor);
    Truth parts[2];
    for (std::size_t t = 0; t < all.queries.size(); ++t) {
        Truth& part = parts[t % 2];
        part.queries.push_back(all.queries[t]);
        part.radii.push_back(all.radii[t]);
        for (std::size_t j = 0; j < k; ++j) part.neighbors.push_back(all.neighbors[t * k + j]);
    }
    executor.stage("cells", 0.05, 0.2);
    Search search(points, queries, k, measure, of_points.largest, executor);
    const std::optional<Effort> effort = search.tune(parts[0], recall);
    if (!effort) return exactly();
    executor.require_memory(from.n_rows * k * (sizeof(Distance) + sizeof(std::int64_t)),
                            "the neighbours");
    Neighbors<Distance> result{
        k, std::vector<Distance>(from.n_rows * k), std::vector<std::int64_t>(from.n_rows * k), {}};
    search.run(*effort, result);
    result.recall = recall_of(result, parts[1]);
    if (result.recall.mean < recall) return exactly();
    return result;
}

template Neighbors<float> approximate_neighbors(const Points&, const Points*, std::size_t,
                                                const Measure&, const Survey&, double,
                                                const Executor&);
template Neighbors<double> approximate_neighbors(const Points&, const Points*, std::size_t,
                                                 const Measure&, const Survey&, double,
                                                 const Executor&);

}  // namespace labelquorum
