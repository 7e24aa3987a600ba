// Nearest centers.
//
// A row's own term of a distance (estimates.hpp) is the same for all centers, so only
// bias(y) - weight * x~y~ is compared. A row keeps the centers of a codebook whose estimate exceeds
// the smallest by at most twice the error of an estimate. If there is more than one, they are
// measured in double precision.
#include "labelquorum/codebooks.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <iterator>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/aligned_buffer.hpp"
#include "base/read_once.hpp"
#include "estimates.hpp"
#include "measure.hpp"
#include "packed_rows.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t max_block_rows = 256;
constexpr std::size_t max_block_bytes = std::size_t{1} << 20;  // of rows in double precision
// Of centers, so that they stay in the L2 cache.
constexpr std::size_t group_bytes = std::size_t{1} << 19;
constexpr std::size_t max_group_panels = 32;                    // the limit of near_least
constexpr std::size_t max_labels_bytes = std::size_t{1} << 25;  // of rows to be counted at once
constexpr double max_estimate = 0x1p60;  // of a length or an error, so that products fit a float

// What bounds the error of an estimate: of a row, or the maxima over the centers of a codebook.
struct Sizes {
    double length = 0;  // of the centered and scaled row
    double lost = 0;    // length of what rounding took from it
    double doubt = 0;   // see Rounded
};

Sizes sizes_of(const Rounded& row) {
    return {std::sqrt(row.squares), std::sqrt(row.lost), row.doubt};
}

// The centers of a codebook, packed for a DotTile.
struct Panels {
    explicit Panels(const DotTile& tile) : rows(tile) {}

    PackedRows rows;
    std::vector<float> biases;  // infinity in places without a center
    double largest_bias = 0;
    Sizes largest;
};

// A codebook, ready to be compared.
struct Centers {
    std::size_t number;  // of the codebook
    std::size_t n;
    std::vector<double> rows;
    Panels fast{fast_dot_tile()};
    Panels precise{precise_dot_tile()};
};

// The codebooks for one choice of columns.
class Subspace {
public:
    Subspace(std::span<const std::size_t> columns, std::size_t n_columns, Metric metric)
        : columns_(columns), n_columns_(n_columns), measure_(metric, n_columns) {}

    bool has(std::span<const std::size_t> columns) const {
        return std::equal(columns.begin(), columns.end(), columns_.begin(), columns_.end());
    }
    std::span<const std::size_t> columns() const { return columns_; }
    std::size_t n_columns() const { return n_columns_; }
    const Measure& measure() const { return measure_; }
    const Frame& frame() const { return *frame_; }
    const std::vector<Centers>& codebooks() const { return codebooks_; }

    void add(const Codebook& codebook, std::size_t number, const Executor& executor);

    // Call once all codebooks are added.
    void pack(const Executor& executor);

    // Whether the bounds of the fast tile leave few enough pairs to be measured.
    bool is_fast_enough() const { return n_measured_ <= n_compared_ / compared_per_measured; }
    void count(std::size_t n_rows, std::size_t n_measured) {
        if (&fast_dot_tile() == &precise_dot_tile()) return;
        n_compared_ += n_rows * n_centers_;
        n_measured_ += n_measured;
    }

private:
    Frame find_frame() const;
    void pack(Centers& centers, Panels& panels) const;

    std::span<const std::size_t> columns_;  // empty: all
    std::size_t n_columns_;
    Measure measure_;
    std::vector<Centers> codebooks_;
    std::size_t n_centers_ = 0;
    std::unique_ptr<Frame> frame_;
    std::atomic<std::size_t> n_compared_{0};
    std::atomic<std::size_t> n_measured_{0};
};

void Subspace::add(const Codebook& codebook, std::size_t number, const Executor& executor) {
    const Points& from = codebook.centers;
    const std::string name = "codebooks[" + std::to_string(number) + "]";
    executor.require_memory(2 * from.n_rows * n_columns_ * sizeof(double), "the codebooks");
    Centers centers{number, from.n_rows, std::vector<double>(from.n_rows * n_columns_)};
    executor.run_ranges(from.n_rows, 1024, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) {
            double* row = centers.rows.data() + i * n_columns_;
            read_row(from, i, row);
            check_finite(from, i, row, name.c_str());
            measure_.prepare(row);
        }
    });
    n_centers_ += centers.n;
    codebooks_.push_back(std::move(centers));
}

Frame Subspace::find_frame() const {
    const std::size_t d = n_columns_;
    const double share = 1 / static_cast<double>(n_centers_);
    std::vector<double> mean(d, 0.0);
    for (const Centers& centers : codebooks_) {
        for (std::size_t i = 0; i < centers.n; ++i) {
            for (std::size_t c = 0; c < d; ++c) mean[c] += centers.rows[i * d + c] * share;
        }
    }
    double largest = 0;
    for (const Centers& centers : codebooks_) {
        for (std::size_t i = 0; i < centers.n; ++i) {
            for (std::size_t c = 0; c < d; ++c) {
                largest = std::max(largest, std::abs(centers.rows[i * d + c] - mean[c]));
            }
        }
    }
    return {std::move(mean), largest};
}

void Subspace::pack(const Executor& executor) {
    frame_ = std::make_unique<Frame>(find_frame());
    executor.run(codebooks_.size(), [&](std::size_t i, int) {
        pack(codebooks_[i], codebooks_[i].fast);
        if (&fast_dot_tile() != &precise_dot_tile()) pack(codebooks_[i], codebooks_[i].precise);
    });
}

void Subspace::pack(Centers& centers, Panels& panels) const {
    const DotTile& tile = panels.rows.tile();
    const Rounder rounder(*frame_, measure_.metric(), tile);
    panels.rows.resize(centers.n, n_columns_);
    panels.biases.assign(panels.rows.n_panels() * tile.n_points,
                         std::numeric_limits<float>::infinity());
    std::vector<double> row(n_columns_);
    std::vector<float> values(rounder.n_columns(), 0.0F);
    for (std::size_t i = 0; i < centers.n; ++i) {
        std::copy_n(centers.rows.data() + i * n_columns_, n_columns_, row.data());
        const Rounded rounded = rounder(row.data(), values.data());
        panels.rows.put(i, values.data());
        panels.biases[i] = static_cast<float>(rounded.bias);
        panels.largest_bias = std::max(panels.largest_bias, std::abs(rounded.bias));
        const Sizes sizes = sizes_of(rounded);
        panels.largest.length = std::max(panels.largest.length, sizes.length);
        panels.largest.lost = std::max(panels.largest.lost, sizes.lost);
        panels.largest.doubt = std::max(panels.largest.doubt, sizes.doubt);
    }
}

// Assigns blocks of rows; one per worker. A block is compared with one codebook after another.
class Worker {
public:
    Worker(const Points& rows, const Executor& executor)
        : from_(rows), executor_(executor), whole_(rows.n_columns) {}

    template <class Label>
    void run(Subspace& space, std::size_t begin, std::size_t end, Label* labels,
             std::size_t n_codebooks) {
        const bool fast = space.is_fast_enough();
        const DotTile& tile = fast ? fast_dot_tile() : precise_dot_tile();
        const Rounder rounder(space.frame(), space.measure().metric(), tile);
        read(space, rounder, tile, begin, end);
        n_measured_ = 0;
        for (const Centers& centers : space.codebooks()) {
            executor_.checkpoint();
            compare(fast ? centers.fast : centers.precise, rounder,
                    weight_of(space.measure().metric()));
            settle(centers, space.measure(), labels + centers.number, n_codebooks);
        }
        if (fast) space.count(n_, n_measured_);
    }

private:
    void read(const Subspace& space, const Rounder& rounder, const DotTile& tile, std::size_t begin,
              std::size_t end) {
        const std::size_t d = space.n_columns();
        n_ = end - begin;
        rows_.resize(n_ * d);
        row_.resize(d);
        values_.assign(rounder.n_columns(), 0.0F);
        sizes_.resize(n_);
        queries_.resize(panels_of(n_, tile.n_queries) * tile.n_queries * rounder.row_bytes());
        for (std::size_t i = 0; i < n_; ++i) {
            double* row = rows_.data() + i * d;
            read_row(from_, begin + i, whole_.data());
            check_finite(from_, begin + i, whole_.data(), "X");
            if (space.columns().empty()) {
                std::copy(whole_.begin(), whole_.end(), row);
            } else {
                for (std::size_t c = 0; c < d; ++c) row[c] = whole_[space.columns()[c]];
            }
            space.measure().prepare(row);
            std::copy_n(row, d, row_.data());
            sizes_[i] = sizes_of(rounder(row_.data(), values_.data()));
            tile.put_query(
                values_.data(), rounder.n_columns(), i % tile.n_queries,
                queries_.as<char>() + i / tile.n_queries * tile.n_queries * rounder.row_bytes());
        }
    }

    // Twice the largest error of an estimate, or NaN if it may not fit a float.
    static float gap(const Sizes& row, const Panels& panels, const Rounder& rounder,
                     double weight) {
        const Sizes& center = panels.largest;
        const double rounded_length = row.length + row.lost;
        const double lengths = rounded_length * (center.length + center.lost);
        const double rounding_error = row.lost * center.length + rounded_length * center.lost;
        // A few ulps for later steps in single precision.
        const double float_error = 8 * half_ulp * (panels.largest_bias + weight * lengths);
        const double error = weight * (rounding_error + rounder.error_of_sums(lengths)) +
                             float_error + row.doubt + center.doubt;
        const double gap = 2 * (1.01 * error + rounder.underflow());
        const bool fits = row.length <= max_estimate && gap <= max_estimate;
        return fits ? round_up(gap) : std::numeric_limits<float>::quiet_NaN();
    }

    void compare(const Panels& panels, const Rounder& rounder, double weight) {
        const DotTile& tile = panels.rows.tile();
        const std::size_t width = tile.n_points;
        const std::size_t n_group =
            std::clamp<std::size_t>(group_bytes / panels.rows.panel_bytes(), 1, max_group_panels);
        dots_.resize(n_group * max_dots_per_tile * sizeof(float));
        near_.resize(n_group * width * tile.n_queries);
        hits_.clear();
        least_.assign(n_, std::numeric_limits<float>::infinity());
        gaps_.resize(n_);
        for (std::size_t i = 0; i < n_; ++i) gaps_[i] = gap(sizes_[i], panels, rounder, weight);
        for (std::size_t first = 0; first < panels.rows.n_panels(); first += n_group) {
            const std::size_t n_panels = std::min(n_group, panels.rows.n_panels() - first);
            for (std::size_t begin = 0; begin < n_; begin += tile.n_queries) {
                tile.multiply(queries_.as<char>() + begin * rounder.row_bytes(),
                              panels.rows.panel(first), n_panels, rounder.n_columns(),
                              dots_.as<float>());
                const std::size_t n_near = tile.near_least(
                    dots_.as<float>(), std::min(n_ - begin, tile.n_queries), n_panels,
                    static_cast<float>(weight), panels.biases.data() + first * width,
                    gaps_.data() + begin, least_.data() + begin, near_.data());
                for (std::size_t i = 0; i < n_near; ++i) {
                    DotTile::Near& hit = near_[i];
                    hit.query += static_cast<std::uint32_t>(begin);
                    hit.point += static_cast<std::uint32_t>(first * width);
                    hits_.push_back(hit);
                }
            }
        }
    }

    // Writes the nearest center of each row, given its hits.
    template <class Label>
    void settle(const Centers& centers, const Measure& measure, Label* labels,
                std::size_t n_codebooks) {
        // Drop hits that a later group of centers has ruled out.
        std::erase_if(hits_, [&](const DotTile::Near& hit) {
            return !(hit.value <= least_[hit.query] + gaps_[hit.query]);
        });
        n_hits_.assign(n_, 0);
        nearest_.resize(n_);
        distances_.assign(n_, std::numeric_limits<double>::infinity());
        for (const DotTile::Near& hit : hits_) {
            ++n_hits_[hit.query];
            nearest_[hit.query] = hit.point;
        }
        for (const DotTile::Near& hit : hits_) {
            if (n_hits_[hit.query] > 1) measure_hit(centers, measure, hit.query, hit.point);
        }
        for (std::size_t i = 0; i < n_; ++i) {
            for (std::size_t center = 0; n_hits_[i] == 0 && center < centers.n; ++center) {
                measure_hit(centers, measure, i, center);
            }
            labels[i * n_codebooks] = static_cast<Label>(nearest_[i]);
        }
    }

    // Centers come in ascending order, so ties go to the lowest.
    void measure_hit(const Centers& centers, const Measure& measure, std::size_t row,
                     std::size_t center) {
        if (++n_measured_ % 1024 == 0) executor_.checkpoint();
        const std::size_t d = row_.size();
        const double distance = measure(rows_.data() + row * d, centers.rows.data() + center * d);
        if (distance < distances_[row]) {
            distances_[row] = distance;
            nearest_[row] = center;
        }
    }

    const Points& from_;
    const Executor& executor_;
    std::vector<double> whole_;  // all columns of a row

    // The current block.
    std::size_t n_ = 0;
    std::vector<double> rows_;
    std::vector<Sizes> sizes_;
    AlignedBuffer queries_;
    std::size_t n_measured_ = 0;

    // The current block and codebook.
    std::vector<float> gaps_;
    std::vector<float> least_;
    std::vector<DotTile::Near> hits_;
    std::vector<std::size_t> n_hits_;
    std::vector<std::size_t> nearest_;
    std::vector<double> distances_;

    // Scratch memory.
    std::vector<double> row_;
    std::vector<float> values_;
    AlignedBuffer dots_;
    std::vector<DotTile::Near> near_;
};

void check_shapes(const Points& rows, std::span<const Codebook> codebooks) {
    if (codebooks.empty()) {
        throw std::invalid_argument("codebooks must hold at least 1 codebook, got 0.");
    }
    for (std::size_t i = 0; i < codebooks.size(); ++i) {
        const auto& [centers, columns] = codebooks[i];
        const std::string name = "codebooks[" + std::to_string(i) + "]";
        const std::size_t wanted = columns.empty() ? rows.n_columns : columns.size();
        if (centers.n_columns < 1 || centers.n_columns != wanted) {
            throw std::invalid_argument(name + " must have " + std::to_string(wanted) +
                                        " columns, got " + std::to_string(centers.n_columns) + ".");
        }
        if (centers.n_rows < 1) {
            throw std::invalid_argument(name + " must have at least 1 center, got 0.");
        }
        for (const std::size_t column : columns) {
            if (column < rows.n_columns) continue;
            throw std::invalid_argument(
                "columns[" + std::to_string(i) + "] must hold columns of X, less than " +
                std::to_string(rows.n_columns) + ", got " + std::to_string(column) + ".");
        }
    }
}

// Codebooks that are ready to be compared with rows, and the workers that do it.
class Assignment {
public:
    Assignment(const Points& rows, std::span<const Codebook> codebooks, Metric metric,
               const Executor& executor)
        : n_codebooks_(codebooks.size()), executor_(executor) {
        check_shapes(rows, codebooks);
        executor.stage("codebooks", 0, 0.01);
        std::size_t n_columns = 1;
        for (std::size_t i = 0; i < codebooks.size(); ++i) {
            executor.checkpoint();
            const std::vector<std::size_t>& columns = codebooks[i].columns;
            auto space = std::find_if(spaces_.begin(), spaces_.end(),
                                      [&](const Subspace& other) { return other.has(columns); });
            if (space == spaces_.end()) {
                n_columns = std::max(n_columns, codebooks[i].centers.n_columns);
                spaces_.emplace_back(columns, codebooks[i].centers.n_columns, metric);
                space = std::prev(spaces_.end());
            }
            space->add(codebooks[i], i, executor);
        }
        for (Subspace& space : spaces_) space.pack(executor);
        const auto n_threads = static_cast<std::size_t>(executor.n_threads());
        const std::size_t most =
            std::min(max_block_rows, max_block_bytes / (n_columns * sizeof(double)));
        const std::size_t n_wanted = std::min(most, panels_of(rows.n_rows, n_threads));
        const std::size_t panel_rows = fast_dot_tile().n_queries;
        block_rows_ = std::max<std::size_t>(1, panels_of(n_wanted, panel_rows)) * panel_rows;
        const int n_workers = executor.n_workers(panels_of(rows.n_rows, block_rows_));
        executor.require_memory(
            static_cast<std::size_t>(n_workers) * block_rows_ * n_columns * 2 * sizeof(double),
            "the assignment");
        for (int w = 0; w < n_workers; ++w) workers_.emplace_back(rows, executor);
    }

    std::size_t block_rows() const { return block_rows_; }
    std::size_t n_workers() const { return workers_.size(); }

    // Writes the labels of rows [begin, end).
    template <class Label>
    void run(std::size_t begin, std::size_t end, Label* labels) {
        executor_.run_ranges(end - begin, block_rows_,
                             [&](std::size_t first, std::size_t last, int worker) {
                                 for (Subspace& space : spaces_) {
                                     workers_[static_cast<std::size_t>(worker)].run(
                                         space, begin + first, begin + last,
                                         labels + first * n_codebooks_, n_codebooks_);
                                 }
                             });
    }

private:
    std::size_t n_codebooks_;
    const Executor& executor_;
    std::deque<Subspace> spaces_;
    std::size_t block_rows_;
    std::vector<Worker> workers_;
};

}  // namespace

template <class Label>
void assign_codebooks(const Points& rows, std::span<const Codebook> codebooks, Metric metric,
                      Label* labels, const Executor& executor) {
    for (std::size_t i = 0; i < codebooks.size(); ++i) {
        if (std::cmp_less_equal(codebooks[i].centers.n_rows, std::numeric_limits<Label>::max())) {
            continue;
        }
        throw std::invalid_argument("codebooks[" + std::to_string(i) + "] must have at most " +
                                    std::to_string(std::numeric_limits<Label>::max()) +
                                    " centers for this type of labels, got " +
                                    std::to_string(codebooks[i].centers.n_rows) + ".");
    }
    Assignment assignment(rows, codebooks, metric, executor);
    executor.stage("assign", 0.01, 1);
    assignment.run(0, rows.n_rows, labels);
}

template void assign_codebooks(const Points&, std::span<const Codebook>, Metric, std::int16_t*,
                               const Executor&);
template void assign_codebooks(const Points&, std::span<const Codebook>, Metric, std::int32_t*,
                               const Executor&);

template <class Id>
void assign_signatures(const Points& rows, std::span<const Codebook> codebooks, Metric metric,
                       SignatureTable& table, Id* ids, const Executor& executor) {
    const std::size_t m = codebooks.size();
    if (table.n_partitions() != m) {
        throw std::invalid_argument("table must have one partition per codebook, " +
                                    std::to_string(m) + ", got " +
                                    std::to_string(table.n_partitions()) + ".");
    }
    Assignment assignment(rows, codebooks, metric, executor);
    // A table of these rows only, so that the caller's table changes as a whole, at the end.
    SignatureTable new_table(m);
    const Executor quiet = executor.without_progress();
    const std::size_t n = rows.n_rows;
    const std::size_t row_bytes = m * sizeof(std::int32_t);
    const std::size_t chunk_rows =
        std::max(max_labels_bytes / row_bytes, assignment.block_rows() * assignment.n_workers());
    std::vector<std::int32_t> labels(std::min(n, chunk_rows) * m);
    Partitions chunk;
    for (std::size_t j = 0; j < m; ++j) {
        chunk.columns.push_back(
            {labels.data() + j, static_cast<std::ptrdiff_t>(row_bytes), IntegerType::i32});
    }
    const auto share = [&](std::size_t row) {
        return 0.01 + 0.99 * static_cast<double>(row) / static_cast<double>(n);
    };
    for (std::size_t begin = 0; begin < n; begin += chunk_rows) {
        const std::size_t end = std::min(n, begin + chunk_rows);
        executor.stage("assign", share(begin), share(end));
        assignment.run(begin, end, labels.data());
        chunk.n_rows = end - begin;
        new_table.update(chunk, ids + begin, quiet);
    }
    const std::vector<std::int32_t> id_of = table.merge(new_table, quiet);
    // The table has changed, so nothing may throw from here on, even if somebody else has written
    // to the ids.
    for (std::size_t i = 0; i < n; ++i) {
        const auto id = static_cast<std::size_t>(read_once(ids + i));
        ids[i] = id < id_of.size() ? id_of[id] : -1;
    }
}

template void assign_signatures(const Points&, std::span<const Codebook>, Metric, SignatureTable&,
                                std::int32_t*, const Executor&);
template void assign_signatures(const Points&, std::span<const Codebook>, Metric, SignatureTable&,
                                std::int64_t*, const Executor&);

}  // namespace labelquorum
