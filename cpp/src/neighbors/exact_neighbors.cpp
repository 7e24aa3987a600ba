// Exact nearest neighbors.
//
// Distances are estimated (estimates.hpp). The error of an estimate is at most the sum of the
// `slack` of both points.
//
// A query keeps the points whose lower bound is at most its k-th smallest upper bound so far. If
// there are too many of them, they are measured in double precision and the best k are kept. Those
// left at the end are measured, too.
#include "exact_neighbors.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "base/aligned_buffer.hpp"
#include "base/read_once.hpp"
#include "dot_tile.hpp"
#include "estimates.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t max_block_bytes = std::size_t{1} << 26;  // per worker
constexpr std::size_t max_block_queries = 4096;  // enough to make packing the points cheap
constexpr std::size_t max_shortlist_bytes = std::size_t{1} << 30;
constexpr std::size_t group_bytes = std::size_t{1} << 19;  // of points, to stay in the L2 cache
constexpr std::size_t max_group_panels = 16;

constexpr std::size_t rounded_up(std::size_t n, std::size_t step) {
    return (n + step - 1) / step * step;
}

// A row's part of an estimate, which is bias + other bias - weight * dot, with an error of at most
// slack + other slack.
struct Terms {
    double bias;
    double slack;
};

// Rounds rows, packs them, and computes their terms.
class Packer {
public:
    Packer(const Frame& frame, Metric metric, const DotTile& tile)
        : rounder_(frame, metric, tile),
          weight_(weight_of(metric)),
          tile_(tile),
          rounded_(rounder_.n_columns(), 0.0F) {}

    // Columns of a panel.
    std::size_t n_columns() const { return rounded_.size(); }
    std::size_t row_bytes() const { return rounder_.row_bytes(); }

    // Puts a row in a place of a panel. Overwrites `row`.
    Terms put_query(double* row, std::size_t place, char* panel) {
        const Terms terms = round(row);
        tile_.put_query(rounded_.data(), n_columns(), place, panel);
        return terms;
    }
    Terms put_point(double* row, std::size_t place, char* panel) {
        const Terms terms = round(row);
        tile_.put_point(rounded_.data(), n_columns(), place, panel);
        return terms;
    }

private:
    Terms round(double* row) {
        const Rounded rounded = rounder_(row, rounded_.data());
        // Each product of two lengths is at most half the sum of one square divided by `rounding`
        // and the other times `rounding`. Add the error of sums, and a few ulps for later steps.
        const double ratio = tile_.rounding;
        const double larger = 1.01 * (rounded.squares + rounded.lost);  // at least |x~|^2, too
        const double of_rounding = rounded.lost / ratio + ratio * larger;
        const double slack = weight_ * (of_rounding + rounder_.error_of_sums(larger)) / 2 +
                             16 * half_ulp * (std::abs(rounded.bias) + rounded.squares) +
                             rounded.doubt;
        return {rounded.bias, 1.01 * slack + rounder_.underflow()};
    }

    Rounder rounder_;
    double weight_;
    const DotTile& tile_;
    std::vector<float> rounded_;
};

struct Candidate {
    float low;   // lower bound on the distance minus the query's bias
    float high;  // upper bound on the same
    std::uint32_t index;
};

struct Neighbor {
    double distance;
    std::uint32_t index;
    bool operator<(const Neighbor& other) const {
        return distance != other.distance ? distance < other.distance : index < other.index;
    }
};

// Measures pairs in double precision; one per worker.
class Ruler {
public:
    Ruler(const Points& points, const Points& queries, const Measure& measure)
        : points_(points),
          queries_(queries),
          measure_(measure),
          query_(points.n_columns),
          point_(points.n_columns) {}

    std::vector<Neighbor> operator()(std::size_t query, std::span<const Candidate> candidates) {
        n_measured_ += candidates.size();
        measure_.read(queries_, query, query_.data());
        std::vector<Neighbor> measured;
        measured.reserve(candidates.size());
        for (const Candidate& candidate : candidates) {
            measure_.read(points_, candidate.index, point_.data());
            measured.push_back({measure_(query_.data(), point_.data()), candidate.index});
        }
        return measured;
    }

    // The number of pairs measured so far.
    std::size_t n_measured() const { return n_measured_; }

private:
    const Points& points_;
    const Points& queries_;
    const Measure& measure_;
    std::vector<double> query_;
    std::vector<double> point_;
    std::size_t n_measured_ = 0;
};

// The candidates of a range of queries. Several threads may work on different queries at once.
class Shortlists {
public:
    Shortlists(std::size_t begin, std::size_t n, std::size_t k, double scale, double least)
        : begin_(begin),
          k_(k),
          capacity_(capacity(k)),
          scale_(scale),
          least_(least),
          kept_(n * capacity_),
          sizes_(n, 0),
          biases_(n, 0.0),
          limits_(n, std::numeric_limits<float>::infinity()),
          last_(n, no_point) {}

    static std::size_t capacity(std::size_t k) { return k + std::max<std::size_t>(k / 2, 64); }
    static std::size_t bytes_per_query(std::size_t k) {
        return capacity(k) * sizeof(Candidate) + sizeof(double) + 3 * sizeof(std::uint32_t);
    }

    // The largest distance, minus the query's bias, that is still of interest.
    float limit(std::size_t query) const { return limits_[query - begin_]; }

    void keep(std::size_t query, double bias, const Candidate& candidate, Ruler& ruler) {
        const std::size_t q = query - begin_;
        if (!(candidate.low <= limits_[q]) || candidate.index > last_[q]) return;
        biases_[q] = bias;
        list(q)[sizes_[q]++] = candidate;
        if (sizes_[q] == capacity_) thin_out(query, ruler);
    }

    // The k nearest, sorted.
    std::vector<Neighbor> nearest(std::size_t query, Ruler& ruler) {
        rule_out(query - begin_);
        std::vector<Neighbor> measured = ruler(query, kept(query - begin_));
        if (measured.size() < k_) throw_changed("X and Y");  // into values that cannot be compared
        const auto end = measured.begin() + static_cast<std::ptrdiff_t>(k_);
        std::partial_sort(measured.begin(), end, measured.end());
        measured.resize(k_);
        return measured;
    }

private:
    static constexpr std::uint32_t no_point = std::numeric_limits<std::uint32_t>::max();

    Candidate* list(std::size_t q) { return kept_.data() + q * capacity_; }
    std::span<Candidate> kept(std::size_t q) { return {list(q), sizes_[q]}; }

    // Drops candidates that the bounds of the others rule out.
    void rule_out(std::size_t q) {
        const std::span<Candidate> all = kept(q);
        if (all.size() < k_) return;
        const auto kth = all.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
        std::nth_element(all.begin(), kth, all.end(),
                         [](const Candidate& a, const Candidate& b) { return a.high < b.high; });
        const float limit = kth->high;
        const auto end = std::remove_if(all.begin(), all.end(),
                                        [&](const Candidate& c) { return c.low > limit; });
        sizes_[q] = static_cast<std::uint32_t>(end - all.begin());
        limits_[q] = std::min(limits_[q], limit);
    }

    void thin_out(std::size_t query, Ruler& ruler) {
        const std::size_t q = query - begin_;
        rule_out(q);
        if (sizes_[q] <= k_ + (capacity_ - k_) / 4 * 3) return;
        // The bounds are too loose: measure.
        std::vector<Neighbor> measured = ruler(query, kept(q));
        const auto kth = measured.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
        std::nth_element(measured.begin(), kth, measured.end());
        for (std::size_t i = 0; i < k_; ++i) {
            const double relative = measured[i].distance * scale_ - biases_[q];
            list(q)[i] = {round_down(relative), round_up(relative), measured[i].index};
        }
        sizes_[q] = static_cast<std::uint32_t>(k_);
        limits_[q] = std::min(limits_[q], round_up(kth->distance * scale_ - biases_[q]));
        // Nothing can be nearer than these. Only a smaller index could still win.
        if (kth->distance <= least_) last_[q] = kth->index;
    }

    std::size_t begin_;
    std::size_t k_;
    std::size_t capacity_;
    double scale_;  // of estimated distances
    double least_;  // lower bound on all distances
    std::vector<Candidate> kept_;
    std::vector<std::uint32_t> sizes_;
    std::vector<double> biases_;
    std::vector<float> limits_;
    std::vector<std::uint32_t> last_;
};

// Consecutive rows on one side of a comparison, in panels.
struct Panels {
    std::size_t begin = 0;
    std::size_t n = 0;
    AlignedBuffer data;
    std::vector<double> biases;
    std::vector<float> low;     // bias - slack
    std::vector<float> gap;     // 2 slack
    std::vector<float> limits;  // last known limits on lower bounds; NaN without a row
};

// A candidate for a row.
struct Hit {
    std::uint32_t row;  // in its panels
    Candidate candidate;
};

// A block of queries and the points that they are compared with.
struct Task {
    std::size_t query_begin;
    std::size_t query_end;
    std::size_t point_begin;
    std::size_t point_end;
    bool both_ways;  // whether the points are queries, too
};

// Compares queries with points; one per worker.
class Comparison {
public:
    Comparison(const Points& points, const Points& queries, bool same, Metric metric,
               const Measure& measure, const Frame& frame, const DotTile& tile)
        : points_(points),
          queries_(queries),
          same_(same),
          metric_(metric),
          measure_(measure),
          tile_(tile),
          packer_(frame, metric, tile_),
          ruler_(points, queries, measure),
          row_(points.n_columns) {}

    Ruler& ruler() { return ruler_; }

    // mutexes: one per block_rows queries of the shortlists, which begin at first_query.
    template <class Checkpoint>
    void run(const Task& task, Shortlists& lists, std::size_t first_query, std::size_t block_rows,
             std::vector<std::mutex>& mutexes, Checkpoint&& checkpoint) {
        std::mutex& query_mutex = mutexes[(task.query_begin - first_query) / block_rows];
        pack(queries_, task.query_begin, task.query_end, tile_.n_queries, false, a_);
        see_limits(lists, query_mutex, 0, a_.n, a_);
        const std::size_t width = tile_.n_points;
        const std::size_t n_group = std::clamp<std::size_t>(
            group_bytes / (width * packer_.row_bytes()), 1, max_group_panels);
        dots_.resize(n_group * max_dots_per_tile * sizeof(float));
        for (std::size_t first = task.point_begin; first < task.point_end;
             first += n_group * width) {
            checkpoint();
            pack(points_, first, std::min(task.point_end, first + n_group * width), width, true,
                 b_);
            std::mutex* point_mutex = nullptr;
            if (task.both_ways) {
                point_mutex = &mutexes[(task.point_begin - first_query) / block_rows];
                see_limits(lists, *point_mutex, 0, b_.n, b_);
            }
            const std::size_t n_panels = (a_.n + tile_.n_queries - 1) / tile_.n_queries;
            for (std::size_t panel = 0; panel < n_panels; ++panel) {
                compare(panel);
                const std::size_t q = panel * tile_.n_queries;
                settle(hits_of_queries_, lists, query_mutex, q, std::min(a_.n, q + tile_.n_queries),
                       a_);
                if (point_mutex != nullptr) {
                    settle(hits_of_points_, lists, *point_mutex, 0, b_.n, b_);
                }
            }
        }
    }

private:
    void pack(const Points& from, std::size_t begin, std::size_t end, std::size_t width,
              bool as_points, Panels& to) {
        const std::size_t n = end - begin;
        const std::size_t n_places = (n + width - 1) / width * width;
        to.begin = begin;
        to.n = n;
        to.data.resize(n_places * packer_.row_bytes());
        to.biases.resize(n);
        to.low.assign(n_places, std::numeric_limits<float>::quiet_NaN());
        to.gap.resize(n_places);
        to.limits.assign(n_places, std::numeric_limits<float>::quiet_NaN());
        for (std::size_t i = 0; i < n; ++i) {
            measure_.read(from, begin + i, row_.data());
            char* panel = to.data.as<char>() + i / width * width * packer_.row_bytes();
            const Terms terms = as_points ? packer_.put_point(row_.data(), i % width, panel)
                                          : packer_.put_query(row_.data(), i % width, panel);
            to.biases[i] = terms.bias;
            to.low[i] = round_down(terms.bias - terms.slack);
            to.gap[i] = round_up(2 * terms.slack);
        }
    }

    void see_limits(const Shortlists& lists, std::mutex& mutex, std::size_t begin, std::size_t end,
                    Panels& rows) {
        const std::lock_guard lock(mutex);
        for (std::size_t i = begin; i < end; ++i) see_limit(lists, i, rows);
    }

    static void see_limit(const Shortlists& lists, std::size_t i, Panels& rows) {
        rows.limits[i] = lists.limit(rows.begin + i) + rows.gap[i] / 2;
    }

    // Compares a panel of queries with the current points.
    void compare(std::size_t panel) {
        const std::size_t width = tile_.n_points;
        const std::size_t n_panels = (b_.n + width - 1) / width;
        const auto weight = static_cast<float>(weight_of(metric_));
        const std::size_t q_begin = panel * tile_.n_queries;
        const std::size_t q_end = std::min(a_.n, q_begin + tile_.n_queries);
        tile_.multiply(a_.data.as<char>() + q_begin * packer_.row_bytes(), b_.data.as<char>(),
                       n_panels, packer_.n_columns(), dots_.as<float>());
        for (std::size_t p = 0; p < n_panels * width; p += width) {
            const float* dots = dots_.as<float>() + p * tile_.n_queries;
            for (std::size_t q = q_begin; q < q_end; ++q, dots += width) {
                const DotTile::Within within = tile_.within(
                    dots, weight, a_.low[q], a_.limits[q], b_.low.data() + p, b_.limits.data() + p);
                for (std::uint32_t bits = within.query; bits != 0; bits &= bits - 1) {
                    const auto i = static_cast<std::size_t>(std::countr_zero(bits));
                    if (same_ && b_.begin + p + i == a_.begin + q) continue;
                    add_hit(hits_of_queries_, a_, q, b_, p + i, weight * dots[i]);
                }
                for (std::uint32_t bits = within.points; bits != 0; bits &= bits - 1) {
                    const auto i = static_cast<std::size_t>(std::countr_zero(bits));
                    add_hit(hits_of_points_, b_, p + i, a_, q, weight * dots[i]);
                }
            }
        }
    }

    static void add_hit(std::vector<Hit>& hits, const Panels& rows, std::size_t row,
                        const Panels& others, std::size_t other, float product) {
        const float low = others.low[other] - product - rows.gap[row] / 2;
        hits.push_back({static_cast<std::uint32_t>(row),
                        {low, low + others.gap[other] + rows.gap[row],
                         static_cast<std::uint32_t>(others.begin + other)}});
    }

    // Puts hits of rows [begin, end) on their shortlists.
    void settle(std::vector<Hit>& hits, Shortlists& lists, std::mutex& mutex, std::size_t begin,
                std::size_t end, Panels& rows) {
        if (hits.empty()) return;
        const std::lock_guard lock(mutex);
        for (const Hit& hit : hits) {
            lists.keep(rows.begin + hit.row, rows.biases[hit.row], hit.candidate, ruler_);
        }
        hits.clear();
        for (std::size_t i = begin; i < end; ++i) see_limit(lists, i, rows);
    }

    const Points& points_;
    const Points& queries_;
    bool same_;
    Metric metric_;
    const Measure& measure_;
    const DotTile& tile_;
    Packer packer_;
    Ruler ruler_;
    std::vector<double> row_;
    Panels a_;  // queries
    Panels b_;  // points
    AlignedBuffer dots_;
    std::vector<Hit> hits_of_queries_;
    std::vector<Hit> hits_of_points_;
};

// How queries are cut into blocks, and blocks into chunks whose shortlists are held at the same
// time.
struct Cut {
    bool
        both_ways;  // all shortlists are held at once, so that each pair of points is compared once
    std::size_t block_rows;
    std::size_t chunk_rows;
    std::size_t n_bytes;  // memory for shortlists and blocks

    Cut(std::size_t n_queries, std::size_t n_columns, std::size_t k, bool same,
        std::size_t n_threads) {
        const std::size_t bytes_per_query = Shortlists::bytes_per_query(k);
        const std::size_t row_bytes = n_columns * sizeof(float);
        const std::size_t n_rows_held = max_shortlist_bytes / bytes_per_query;
        both_ways = same && n_queries <= n_rows_held;
        // With few queries, one block per thread: packing the points is most of the work then.
        const std::size_t n_blocks =
            both_ways ? 8 * std::bit_width(n_threads)
                      : std::clamp(n_queries / max_block_queries, n_threads, 4 * n_threads);
        const std::size_t max_rows =
            std::max<std::size_t>(1, std::min(max_block_queries, max_block_bytes / row_bytes));
        const std::size_t panel_rows = std::max<std::size_t>(1, fast_dot_tile().n_queries);
        block_rows =
            rounded_up(std::clamp<std::size_t>(n_queries / n_blocks, 1, max_rows), panel_rows);
        chunk_rows =
            both_ways ? n_queries : std::max(n_rows_held / block_rows, n_threads) * block_rows;
        n_bytes =
            std::min(n_queries, chunk_rows) * bytes_per_query + n_threads * block_rows * row_bytes;
    }
};

template <class Distance>
class ExactSearch {
public:
    ExactSearch(const Points& points, const Points* queries, std::size_t k, const Measure& measure,
                const Survey& points_survey, const Executor& executor)
        : points_(points),
          queries_(queries == nullptr ? points : *queries),
          k_(k),
          measure_(measure),
          executor_(executor),
          // A centered value is at most twice the largest.
          frame_(points_survey.mean, 2 * points_survey.largest),
          cut_(queries_.n_rows, points.n_columns, k, queries == nullptr,
               static_cast<std::size_t>(executor.n_threads())) {
        const std::size_t n = queries_.n_rows;
        executor.require_memory(n * k * (sizeof(Distance) + sizeof(std::int64_t)), "the neighbors");
        executor.require_memory(cut_.n_bytes, "the search for neighbors");
        result_ = {k, std::vector<Distance>(n * k), std::vector<std::int64_t>(n * k), {1, 1, 0}};
        for (int w = 0; w < executor.n_threads(); ++w) {
            for (auto [comparisons, tile] :
                 {std::pair(&fast_, &fast_dot_tile()), std::pair(&precise_, &precise_dot_tile())}) {
                comparisons->emplace_back(points, queries_, queries == nullptr, measure.metric(),
                                          measure, frame_, *tile);
            }
        }
    }

    Neighbors<Distance> run() {
        const std::size_t n = queries_.n_rows;
        const auto share = [&](std::size_t row) {
            return 0.01 + 0.99 * static_cast<double>(row) / static_cast<double>(n);
        };
        for (std::size_t begin = 0; begin < n; begin += cut_.chunk_rows) {
            const std::size_t end = std::min(n, begin + cut_.chunk_rows);
            executor_.stage("neighbors", share(begin), share(end));
            Shortlists lists(begin, end - begin, k_, frame_.scale * frame_.scale, measure_.least());
            compare_chunk(begin, end, lists);
            write_chunk(begin, end, lists);
        }
        return std::move(result_);
    }

private:
    std::vector<Task> tasks_of_chunk(std::size_t begin, std::size_t end) const {
        const std::size_t n = queries_.n_rows;
        const std::size_t step = cut_.block_rows;
        std::vector<Task> tasks;
        for (std::size_t a = begin; a < end; a += step) {
            const std::size_t a_end = std::min(end, a + step);
            if (!cut_.both_ways) {
                tasks.push_back({a, a_end, 0, points_.n_rows, false});
                continue;
            }
            for (std::size_t b = a; b < n; b += step) {
                tasks.push_back({a, a_end, b, std::min(n, b + step), a != b});
            }
        }
        return tasks;
    }

    void compare_chunk(std::size_t begin, std::size_t end, Shortlists& lists) {
        const std::vector<Task> tasks = tasks_of_chunk(begin, end);
        std::vector<std::mutex> mutexes((end - begin + cut_.block_rows - 1) / cut_.block_rows);
        executor_.run(tasks.size(), [&](std::size_t t, int worker) {
            const Task& task = tasks[t];
            const auto w = static_cast<std::size_t>(worker);
            Comparison& comparison = is_fast_enough_ ? fast_[w] : precise_[w];
            const std::size_t n_measured_before = comparison.ruler().n_measured();
            comparison.run(task, lists, begin, cut_.block_rows, mutexes,
                           [&] { executor_.checkpoint(); });
            n_compared_ +=
                (task.query_end - task.query_begin) * (task.point_end - task.point_begin);
            n_measured_ += comparison.ruler().n_measured() - n_measured_before;
            if (n_measured_ > n_compared_ / compared_per_measured) is_fast_enough_ = false;
        });
    }

    void write_chunk(std::size_t chunk_begin, std::size_t chunk_end, Shortlists& lists) {
        executor_.run_ranges(
            chunk_end - chunk_begin, 64, [&](std::size_t begin, std::size_t end, int worker) {
                executor_.checkpoint();
                Ruler& ruler = fast_[static_cast<std::size_t>(worker)].ruler();
                for (std::size_t q = chunk_begin + begin; q < chunk_begin + end; ++q) {
                    const std::vector<Neighbor> nearest = lists.nearest(q, ruler);
                    for (std::size_t i = 0; i < k_; ++i) {
                        result_.distances[q * k_ + i] =
                            static_cast<Distance>(measure_.final_distance(nearest[i].distance));
                        result_.indices[q * k_ + i] = nearest[i].index;
                    }
                }
            });
    }

    const Points& points_;
    const Points& queries_;
    std::size_t k_;
    const Measure& measure_;
    const Executor& executor_;
    Frame frame_;
    Cut cut_;
    Neighbors<Distance> result_{};

    // One of each per worker. If the bounds of the fast tile leave too many pairs to be measured,
    // the precise one is faster.
    std::vector<Comparison> fast_;
    std::vector<Comparison> precise_;
    std::atomic<std::size_t> n_compared_{0};
    std::atomic<std::size_t> n_measured_{0};
    std::atomic<bool> is_fast_enough_{true};
};

}  // namespace

template <class Distance>
Neighbors<Distance> exact_neighbors(const Points& points, const Points* queries, std::size_t k,
                                    const Measure& measure, const Survey& points_survey,
                                    const Executor& executor) {
    return ExactSearch<Distance>(points, queries, k, measure, points_survey, executor).run();
}

template Neighbors<float> exact_neighbors(const Points&, const Points*, std::size_t, const Measure&,
                                          const Survey&, const Executor&);
template Neighbors<double> exact_neighbors(const Points&, const Points*, std::size_t,
                                           const Measure&, const Survey&, const Executor&);

}  // namespace labelquorum
