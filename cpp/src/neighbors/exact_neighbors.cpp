// Exact nearest neighbours.
//
// Distances are estimated (estimates.hpp), and `slack` bounds what an estimate may be wrong by, as
// a sum of a term of either point.
//
// A query keeps the candidates that its k-th smallest upper bound so far cannot rule out by their
// lower bound. When they become too many, they are measured in double precision and the best k
// kept. What is left at the end is measured, too.
#include "exact_neighbors.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <span>
#include <vector>

#include "base/lines.hpp"
#include "dot_tile.hpp"
#include "estimates.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t max_block_bytes = std::size_t{1} << 26;  // of a worker
constexpr std::size_t max_block_queries = 4096;  // packing the points costs little, then
constexpr std::size_t max_shortlist_bytes = std::size_t{1} << 30;
constexpr std::size_t group_bytes = std::size_t{1} << 19;  // of points, to stay in the second cache
constexpr std::size_t max_group_panels = 16;

constexpr std::size_t rounded_up(std::size_t n, std::size_t step) {
    return (n + step - 1) / step * step;
}

// A point as the estimates see it: estimate = bias + other bias - weight * dot, right but for slack
// + other slack.
struct Terms {
    double bias;
    double slack;
};

// Makes rows into what the estimates need.
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

    // A row, which is used up, to a place in a panel.
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
        // Each product of two lengths is at most half the sum of one square over `rounding` and the
        // other times it. Then the sums, and a few ulps for what follows.
        const double ratio = tile_.rounding;
        const double larger =
            1.01 * (rounded.squares + rounded.lost);  // than |x~|^2, too, where it matters
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
    float low;   // bound on the distance less the query's bias, from below
    float high;  // and from above
    std::uint32_t index;
};

struct Neighbor {
    double distance;
    std::uint32_t index;
    bool operator<(const Neighbor& other) const {
        return distance != other.distance ? distance < other.distance : index < other.index;
    }
};

// Measures pairs; one per worker.
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

    // Pairs so far.
    std::size_t n_measured() const { return n_measured_; }

private:
    const Points& points_;
    const Points& queries_;
    const Measure& measure_;
    std::vector<double> query_;
    std::vector<double> point_;
    std::size_t n_measured_ = 0;
};

// The candidates of a range of queries. Different queries can be worked on at once.
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

    // What is farther than this, less the query's bias, is too far.
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
        const auto end = measured.begin() + static_cast<std::ptrdiff_t>(k_);
        std::partial_sort(measured.begin(), end, measured.end());
        measured.resize(k_);
        return measured;
    }

private:
    static constexpr std::uint32_t no_point = std::numeric_limits<std::uint32_t>::max();

    Candidate* list(std::size_t q) { return kept_.data() + q * capacity_; }
    std::span<Candidate> kept(std::size_t q) { return {list(q), sizes_[q]}; }

    // Drops the candidates that the bounds of the others rule out.
    void rule_out(std::size_t q) {
        const std::span<Candidate> all = kept(q);
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
        // The bounds do not tell enough of them apart.
        std::vector<Neighbor> measured = ruler(query, kept(q));
        const auto kth = measured.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
        std::nth_element(measured.begin(), kth, measured.end());
        for (std::size_t i = 0; i < k_; ++i) {
            const double relative = measured[i].distance * scale_ - biases_[q];
            list(q)[i] = {round_down(relative), round_up(relative), measured[i].index};
        }
        sizes_[q] = static_cast<std::uint32_t>(k_);
        limits_[q] = std::min(limits_[q], round_up(kth->distance * scale_ - biases_[q]));
        // Nothing is nearer than these: only a smaller index could still win.
        if (kth->distance <= least_) last_[q] = kth->index;
    }

    std::size_t begin_;
    std::size_t k_;
    std::size_t capacity_;
    double scale_;  // of the estimates' distances
    double least_;  // possible distance
    std::vector<Candidate> kept_;
    std::vector<std::uint32_t> sizes_;
    std::vector<double> biases_;
    std::vector<float> limits_;
    std::vector<std::uint32_t> last_;
};

// Consecutive rows on one side of a comparison, in panels, with what is known of each.
struct Panels {
    std::size_t begin = 0;
    std::size_t n = 0;
    Lines data;
    std::vector<double> biases;
    std::vector<float> low;     // bias - slack
    std::vector<float> gap;     // 2 slack
    std::vector<float> limits;  // for the others' lower bounds, as last seen; NaN without a row
};

struct Hit {
    std::uint32_t row;  // in its panels
    Candidate candidate;
};

// The rows of a task, and those that they are compared with.
struct Task {
    std::size_t query_begin;
    std::size_t query_end;
    std::size_t point_begin;
    std::size_t point_end;
    bool both_ways;  // the points are queries, too
};

// What one worker needs.
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

    // mutexes: one for each block_rows queries of the shortlists, which begin at first_query.
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

    // A panel of queries with all points at hand.
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
    Lines dots_;
    std::vector<Hit> hits_of_queries_;
    std::vector<Hit> hits_of_points_;
};

}  // namespace

template <class Distance>
Neighbors<Distance> exact_neighbors(const Points& points, const Points* queries, std::size_t k,
                                    const Measure& measure, const Survey& of_points,
                                    const Executor& executor) {
    const bool same = queries == nullptr;
    const Points& from = same ? points : *queries;
    executor.require_memory(from.n_rows * k * (sizeof(Distance) + sizeof(std::int64_t)),
                            "the neighbours");
    Neighbors<Distance> result{k,
                               std::vector<Distance>(from.n_rows * k),
                               std::vector<std::int64_t>(from.n_rows * k),
                               {1, 1, 0}};
    // A centred value is at most twice the largest.
    const Frame frame(of_points.mean, 2 * of_points.largest);

    // With the shortlists of all at hand, every pair of points is compared but once.
    const DotTile& tile = fast_dot_tile();
    const std::size_t n = from.n_rows;
    const auto n_threads = static_cast<std::size_t>(executor.n_threads());
    const std::size_t per_query = Shortlists::bytes_per_query(k);
    const std::size_t row_bytes = points.n_columns * sizeof(float);
    const bool both_ways = same && n <= max_shortlist_bytes / per_query;
    // One for each thread where queries are few, since packing the points is most of the work then.
    const std::size_t wanted_blocks =
        both_ways ? 8 * std::bit_width(n_threads)
                  : std::clamp(n / max_block_queries, n_threads, 4 * n_threads);
    // Whole panels of queries.
    const std::size_t step = std::max<std::size_t>(1, tile.n_queries);
    const std::size_t most = std::min(max_block_queries, max_block_bytes / row_bytes);
    const std::size_t block_rows = rounded_up(
        std::clamp<std::size_t>(n / wanted_blocks, 1, std::max<std::size_t>(1, most)), step);
    const std::size_t chunk_rows =
        both_ways ? n
                  : std::max(max_shortlist_bytes / per_query / block_rows, n_threads) * block_rows;
    executor.require_memory(
        std::min(n, chunk_rows) * per_query + n_threads * block_rows * row_bytes,
        "the search for neighbours");
    std::vector<Comparison> fast;
    std::vector<Comparison> precise;
    for (std::size_t w = 0; w < n_threads; ++w) {
        fast.emplace_back(points, from, same, measure.metric(), measure, frame, tile);
        precise.emplace_back(points, from, same, measure.metric(), measure, frame,
                             precise_dot_tile());
    }
    // Where bounds of the fast tile leave too much to be measured, the other one is faster.
    std::atomic<std::size_t> n_compared{0};
    std::atomic<std::size_t> n_measured{0};
    std::atomic<bool> fast_enough{true};
    for (std::size_t first = 0; first < n; first += chunk_rows) {
        const std::size_t last = std::min(n, first + chunk_rows);
        const auto share = [&](std::size_t row) {
            return 0.01 + 0.99 * static_cast<double>(row) / static_cast<double>(n);
        };
        executor.stage("neighbors", share(first), share(last));
        std::vector<Task> tasks;
        for (std::size_t a = first; a < last; a += block_rows) {
            const std::size_t a_end = std::min(last, a + block_rows);
            if (!both_ways) {
                tasks.push_back({a, a_end, 0, points.n_rows, false});
                continue;
            }
            for (std::size_t b = a; b < n; b += block_rows) {
                tasks.push_back({a, a_end, b, std::min(n, b + block_rows), a != b});
            }
        }
        Shortlists lists(first, last - first, k, frame.scale * frame.scale, measure.least());
        std::vector<std::mutex> mutexes((last - first + block_rows - 1) / block_rows);
        executor.run(tasks.size(), [&](std::size_t task, int worker) {
            const auto w = static_cast<std::size_t>(worker);
            Comparison& comparison = fast_enough ? fast[w] : precise[w];
            const std::size_t measured_before = comparison.ruler().n_measured();
            comparison.run(tasks[task], lists, first, block_rows, mutexes,
                           [&] { executor.checkpoint(); });
            n_compared += (tasks[task].query_end - tasks[task].query_begin) *
                          (tasks[task].point_end - tasks[task].point_begin);
            n_measured += comparison.ruler().n_measured() - measured_before;
            if (n_measured > n_compared / max_measured_of) fast_enough = false;
        });
        executor.run_ranges(last - first, 64, [&](std::size_t begin, std::size_t end, int worker) {
            executor.checkpoint();
            for (std::size_t q = first + begin; q < first + end; ++q) {
                const std::vector<Neighbor> nearest =
                    lists.nearest(q, fast[static_cast<std::size_t>(worker)].ruler());
                for (std::size_t i = 0; i < k; ++i) {
                    result.distances[q * k + i] =
                        static_cast<Distance>(measure.final_distance(nearest[i].distance));
                    result.indices[q * k + i] = nearest[i].index;
                }
            }
        });
    }
    return result;
}

template Neighbors<float> exact_neighbors(const Points&, const Points*, std::size_t, const Measure&,
                                          const Survey&, const Executor&);
template Neighbors<double> exact_neighbors(const Points&, const Points*, std::size_t,
                                           const Measure&, const Survey&, const Executor&);

}  // namespace labelquorum
