// Nearest neighbors with a given recall.
//
// Rows are projected to the few directions in which they vary most (Space) and put into cells
// around centers found by k-means (Cells), as in an inverted file. A query is compared with the
// points of its own cell and of cells whose centers are nearly as close (CellSearch). The best
// points by projected distance form its shortlist, whose distances are measured in full, in double
// precision.
//
// The number of cells to visit and the length of shortlists are tuned on a sample of queries, whose
// neighbors are found exactly beforehand. The recall that is reported is measured on another
// sample.
#include "approximate_neighbors.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "base/read_once.hpp"
#include "cell_search.hpp"
#include "cells.hpp"
#include "exact_neighbors.hpp"
#include "space.hpp"

namespace labelquorum {
namespace {

// Approximate search is tried if exact search costs this many times more than the preparations, for
// every digit of the recall (0.9 has one, 0.99 has two).
constexpr double min_advantage = 5;
constexpr std::size_t n_sampled = 200;  // queries in each of the two samples
constexpr std::size_t task_queries = 512;
// Measuring a value in double precision costs about as much as multiplying this many by a tile.
constexpr double measuring_cost = 16;

// Queries whose exact neighbors are known.
struct Truth {
    std::vector<std::uint32_t> queries;  // ascending
    std::vector<std::int64_t> neighbors;
    std::vector<double> distances;
    std::vector<double> radii;  // distance of the k-th neighbor
};

// The cells of all points, and everything needed to search them.
class Search {
public:
    Search(const Points& points, const Points* queries, std::size_t k, const Measure& measure,
           double largest, const Truth& truth, const Executor& executor)
        : points_(points),
          queries_(queries == nullptr ? points : *queries),
          same_(queries == nullptr),
          k_(k),
          measure_(measure),
          executor_(executor),
          random_(repeatable_random()),
          space_(points, measure, largest, random_, executor),
          cells_(make_cells(truth)) {
        if (!points_are_queries()) {
            query_rows_ =
                cells_.sort(space_.coordinates(queries_, false, executor).values, executor);
        }
    }

    // The cheapest effort whose recall on a sample is at least the given one, with 95 % confidence.
    // Nothing if exact search is cheaper.
    std::optional<Effort> tune(const Truth& truth, double recall) const {
        const std::vector<Trail> trails = look_around(truth);
        std::optional<Plan> best;
        // The part of the missing recall that cells may cause; shortlists may cause the rest.
        for (const double part : {0.7, 0.35, 0.0}) {
            std::optional<Plan> plan = choose_cells(trails, 1 - (1 - recall) * part);
            const double limit = best ? best->cost : cost_of_exact_search();
            if (!plan || plan->cost >= limit) continue;
            // Visiting more cells only pays off with shorter shortlists.
            plan->effort.n_shortlist =
                best ? best->effort.n_shortlist : std::max<std::size_t>(8 * k_, 128);
            const std::optional<std::size_t> n = n_needed(truth, plan->effort, recall);
            if (!n) continue;
            plan->effort.n_shortlist = *n;
            plan->cost += measuring_cost * static_cast<double>(*n * points_.n_columns);
            if (plan->cost < limit) best = plan;
        }
        if (!best) return std::nullopt;
        return best->effort;
    }

    // The recall of an effort on a sample.
    Recall recall_of(const Truth& truth, const Effort& effort) const {
        return recall_of(count_true(truth, effort), effort.n_shortlist);
    }

    template <class Distance>
    Neighbors<Distance> run(const Effort& effort, const Recall& recall) const {
        executor_.require_memory(queries_.n_rows * k_ * (sizeof(Distance) + sizeof(std::int64_t)),
                                 "the neighbors");
        Neighbors<Distance> result{k_, std::vector<Distance>(queries_.n_rows * k_),
                                   std::vector<std::int64_t>(queries_.n_rows * k_), recall};
        executor_.stage("neighbors", 0.2, 1);
        const std::vector<Task> tasks = all_tasks();
        std::vector<CellSearch> searches = workers(tasks.size());
        executor_.run(tasks.size(), [&](std::size_t t, int worker) {
            executor_.checkpoint();
            CellSearch& search = searches[static_cast<std::size_t>(worker)];
            search.run(tasks[t], effort);
            // As many at once as stay in a cache.
            const std::size_t n_at_once = std::max<std::size_t>(8, 131072 / points_.n_columns);
            for (std::size_t begin = tasks[t].begin; begin < tasks[t].end; begin += n_at_once) {
                const std::size_t end = std::min(tasks[t].end, begin + n_at_once);
                std::vector<std::span<const NearPoint>> lists;
                for (std::size_t place = begin; place < end; ++place) {
                    lists.push_back(search.shortlist(place - tasks[t].begin).sorted());
                }
                std::vector<std::vector<Measured>> all = measure(begin, lists);
                for (std::size_t place = begin; place < end; ++place) {
                    write(all[place - begin], query_rows().ids[place], result);
                }
            }
        });
        return result;
    }

private:
    // An effort and its cost, in values multiplied per query.
    struct Plan {
        Effort effort;
        double cost;
    };

    // The cells that a query of a sample could visit.
    struct Trail {
        std::vector<Visit> visits;       // sorted
        std::vector<std::size_t> costs;  // points to compare in the own cell and the first n visits
        std::vector<std::size_t> n_until;  // visits until each neighbor is met
        double radius;
        std::size_t n_needed;  // the least number of visits if the own cell has too few points
    };

    struct Measured {
        double distance;
        std::uint32_t index;
        bool operator<(const Measured& other) const {
            return distance != other.distance ? distance < other.distance : index < other.index;
        }
    };

    bool points_are_queries() const { return same_ && measure_.metric() != Metric::inner_product; }

    // Coordinates leave out a part of each distance. Between neighbors, it is about this share of
    // what they leave out of the two points.
    double kept_rest(const Coordinates& coordinates, const Truth& truth) const {
        if (!points_are_queries() || coordinates.rests.empty()) return 0;
        const std::size_t m = space_.n_columns();
        double left_out = 0;
        double rests = 0;
        for (std::size_t i = 0; i < truth.neighbors.size(); ++i) {
            const std::size_t query = truth.queries[i / k_];
            const auto point = static_cast<std::size_t>(truth.neighbors[i]);
            const double distance = truth.distances[i];
            const double squares =
                measure_.metric() == Metric::cosine ? 2 * distance : distance * distance;
            left_out += squares * space_.scale() * space_.scale();
            for (std::size_t c = 0; c < m; ++c) {
                const double gap = static_cast<double>(coordinates.values[query * m + c]) -
                                   static_cast<double>(coordinates.values[point * m + c]);
                left_out -= gap * gap;
            }
            rests += coordinates.rests[query] + coordinates.rests[point];
        }
        return rests > 0 ? std::clamp(left_out / rests, 0.0, 1.0) : 0;
    }

    Cells make_cells(const Truth& truth) {
        Coordinates coordinates = space_.coordinates(points_, true, executor_);
        const double kept = kept_rest(coordinates, truth);
        return {std::move(coordinates), space_.n_columns(), kept, random_, executor_};
    }

    const RowsOfCells& query_rows() const {
        return query_rows_.ids.empty() ? cells_.points() : query_rows_;
    }
    double cost_of_exact_search() const {
        return static_cast<double>(points_.n_rows) * static_cast<double>(points_.n_columns) /
               (same_ ? 2 : 1);
    }

    std::vector<CellSearch> workers(std::size_t n_tasks) const {
        std::vector<CellSearch> all;
        const int n_workers = executor_.n_workers(n_tasks);
        all.reserve(static_cast<std::size_t>(n_workers));
        for (int w = 0; w < n_workers; ++w) {
            all.emplace_back(query_rows(), same_, k_, cells_);
        }
        return all;
    }

    // One task per query.
    std::vector<Task> tasks_for(std::span<const std::uint32_t> queries) const {
        std::vector<Task> tasks;
        for (const std::uint32_t query : queries) {
            const std::size_t place = query_rows().places[query];
            tasks.push_back({query_rows().homes[place], place, place + 1});
        }
        return tasks;
    }

    std::vector<Task> all_tasks() const {
        std::vector<Task> tasks;
        const std::vector<std::size_t>& begins = query_rows().begins;
        for (std::size_t cell = 0; cell + 1 < begins.size(); ++cell) {
            for (std::size_t begin = begins[cell]; begin < begins[cell + 1];
                 begin += task_queries) {
                tasks.push_back({static_cast<std::uint32_t>(cell), begin,
                                 std::min(begins[cell + 1], begin + task_queries)});
            }
        }
        return tasks;
    }

    std::vector<Trail> look_around(const Truth& truth) const {
        const std::vector<Task> tasks = tasks_for(truth.queries);
        std::vector<Trail> trails(tasks.size());
        std::vector<CellSearch> searches = workers(tasks.size());
        const RowsOfCells& points = cells_.points();
        executor_.run(tasks.size(), [&](std::size_t t, int worker) {
            executor_.checkpoint();
            CellSearch& search = searches[static_cast<std::size_t>(worker)];
            search.look_around(tasks[t]);
            Trail& trail = trails[t];
            trail.visits = search.visits(0);
            trail.radius = search.radius(0);
            std::sort(trail.visits.begin(), trail.visits.end());
            trail.n_needed = search.n_needed(trail.visits, 1);
            std::vector<std::size_t> n_until_cell(points.n_cells(), 0);
            trail.costs.push_back(points.size(tasks[t].cell));
            for (std::size_t v = 0; v < trail.visits.size(); ++v) {
                const std::uint32_t cell = search.cell(trail.visits[v]);
                n_until_cell[cell] = v + 1;
                trail.costs.push_back(trail.costs.back() + points.size(cell));
            }
            for (std::size_t j = 0; j < k_; ++j) {
                const auto neighbor = static_cast<std::size_t>(truth.neighbors[t * k_ + j]);
                trail.n_until.push_back(n_until_cell[points.homes[points.places[neighbor]]]);
            }
        });
        return trails;
    }

    // The cheapest way to meet at least this share of the neighbors.
    std::optional<Plan> choose_cells(const std::vector<Trail>& trails, double min_share) const {
        std::optional<Plan> best;
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
                    const auto n_met =
                        std::count_if(trail.n_until.begin(), trail.n_until.end(),
                                      [&](std::size_t n_visits) { return n_visits <= last; });
                    share += static_cast<double>(n_met) / static_cast<double>(k_) / n;
                }
                cost = (cost + static_cast<double>(cells_.points().n_cells())) *
                       static_cast<double>(cells_.n_columns());
                if (share < min_share || (best && cost >= best->cost)) continue;
                best = Plan{{n_cells, reach, 0}, cost};
            }
        }
        return best;
    }

    // Writes the k nearest of the points measured for a query.
    template <class Distance>
    void write(std::vector<Measured>& measured, std::size_t query,
               Neighbors<Distance>& result) const {
        if (measured.size() < k_) throw_changed("X and Y");
        std::partial_sort(measured.begin(), measured.begin() + static_cast<std::ptrdiff_t>(k_),
                          measured.end());
        for (std::size_t j = 0; j < k_; ++j) {
            result.distances[query * k_ + j] =
                static_cast<Distance>(measure_.final_distance(measured[j].distance));
            result.indices[query * k_ + j] = measured[j].index;
        }
    }

    // The shortest length of shortlists that reaches the recall, if any does.
    std::optional<std::size_t> n_needed(const Truth& truth, const Effort& effort,
                                        double recall) const {
        const std::vector<std::vector<std::size_t>> n_true = count_true(truth, effort);
        for (std::size_t n = k_; n <= effort.n_shortlist; n += std::max<std::size_t>(1, n / 8)) {
            if (recall_of(n_true, n).least >= recall) return n;
        }
        return std::nullopt;
    }

    // For each query of a sample and each n, the number of true neighbors among the first n of its
    // shortlist.
    std::vector<std::vector<std::size_t>> count_true(const Truth& truth,
                                                     const Effort& effort) const {
        const std::vector<Task> tasks = tasks_for(truth.queries);
        std::vector<std::vector<std::size_t>> n_true(tasks.size());
        std::vector<CellSearch> searches = workers(tasks.size());
        executor_.run(tasks.size(), [&](std::size_t t, int worker) {
            executor_.checkpoint();
            CellSearch& search = searches[static_cast<std::size_t>(worker)];
            search.run(tasks[t], effort);
            const std::array<std::span<const NearPoint>, 1> list{search.shortlist(0).sorted()};
            n_true[t].assign(effort.n_shortlist + 1, 0);
            std::size_t i = 0;
            const std::vector<std::vector<Measured>> measured = measure(tasks[t].begin, list);
            for (const Measured& point : measured[0]) {
                const bool is_true = measure_.final_distance(point.distance) <= truth.radii[t];
                n_true[t][i + 1] = n_true[t][i] + (is_true ? 1 : 0);
                ++i;
            }
            std::fill(n_true[t].begin() + static_cast<std::ptrdiff_t>(i), n_true[t].end(),
                      n_true[t][i]);
        });
        return n_true;
    }

    // The recall of the first n of each shortlist.
    Recall recall_of(const std::vector<std::vector<std::size_t>>& n_true, std::size_t n) const {
        const auto n_queries = static_cast<double>(n_true.size());
        const auto share = [&](const std::vector<std::size_t>& n_true_of_query) {
            return static_cast<double>(std::min(k_, n_true_of_query[n])) / static_cast<double>(k_);
        };
        double mean = 0;
        for (const auto& n_true_of_query : n_true) mean += share(n_true_of_query) / n_queries;
        double squares = 0;
        for (const auto& n_true_of_query : n_true) {
            const double difference = share(n_true_of_query) - mean;
            squares += difference * difference;
        }
        const double error = std::sqrt(squares / (n_queries - 1) / n_queries);
        return {mean, mean - 1.645 * error, n_true.size()};
    }

    // Measures all points on the shortlists of consecutive queries. Each point is read only once.
    std::vector<std::vector<Measured>> measure(
        std::size_t first_place, std::span<const std::span<const NearPoint>> lists) const {
        struct Pair {
            std::uint32_t point;
            std::uint32_t query;
            std::uint32_t rank;
        };
        const std::size_t d = points_.n_columns;
        std::vector<double> rows(lists.size() * d);
        std::vector<std::vector<Measured>> all(lists.size());
        std::vector<Pair> pairs;
        for (std::uint32_t q = 0; q < lists.size(); ++q) {
            measure_.read(queries_, query_rows().ids[first_place + q], rows.data() + q * d);
            all[q].resize(lists[q].size());
            for (std::uint32_t i = 0; i < lists[q].size(); ++i) {
                pairs.push_back({cells_.points().ids[lists[q][i].place], q, i});
            }
        }
        std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) {
            return a.point != b.point ? a.point < b.point : a.query < b.query;
        });
        std::vector<double> point(d);
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            const Pair& pair = pairs[i];
            if (i == 0 || pair.point != pairs[i - 1].point) {
                measure_.read(points_, pair.point, point.data());
            }
            all[pair.query][pair.rank] = {measure_(rows.data() + pair.query * d, point.data()),
                                          pair.point};
        }
        return all;
    }

    static constexpr auto cell_ladder = std::to_array<std::size_t>(
        {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1 << 20});
    static constexpr auto reach_ladder =
        std::to_array<double>({0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.5, 2, 3,
                               std::numeric_limits<double>::infinity()});

    const Points& points_;
    const Points& queries_;
    bool same_;
    std::size_t k_;
    const Measure& measure_;
    const Executor& executor_;
    std::mt19937_64 random_;
    Space space_;
    Cells cells_;
    RowsOfCells query_rows_;  // empty if the queries are the points
};

// The exact neighbors of some queries.
Truth find_truth(const Points& points, const Points* queries, std::vector<std::uint32_t> chosen,
                 std::size_t k, const Measure& measure, const Survey& points_survey,
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
    const std::size_t n_self = queries == nullptr ? 1 : 0;  // a point is its own nearest
    const Neighbors<double> neighbors =
        exact_neighbors<double>(points, &view, k + n_self, measure, points_survey, executor);
    Truth truth{std::move(chosen), {}, {}, {}};
    for (std::size_t i = 0; i < truth.queries.size(); ++i) {
        std::size_t n = 0;
        for (std::size_t j = i * neighbors.k; n < k; ++j) {
            if (n_self == 1 &&
                neighbors.indices[j] == static_cast<std::int64_t>(truth.queries[i])) {
                continue;
            }
            truth.neighbors.push_back(neighbors.indices[j]);
            truth.distances.push_back(neighbors.distances[j]);
            if (++n == k) truth.radii.push_back(neighbors.distances[j]);
        }
    }
    return truth;
}

}  // namespace

template <class Distance>
Neighbors<Distance> approximate_neighbors(const Points& points, const Points* queries,
                                          std::size_t k, const Measure& measure,
                                          const Survey& points_survey, double recall,
                                          const Executor& executor) {
    const Points& from = queries == nullptr ? points : *queries;
    const auto exactly = [&] {
        return exact_neighbors<Distance>(points, queries, k, measure, points_survey, executor);
    };
    // Costs in products of two rows. Preparations are the samples, and cells for all points.
    const auto n = static_cast<double>(points.n_rows);
    const double exact_cost = static_cast<double>(from.n_rows) * n / (queries == nullptr ? 2 : 1);
    const double preparing_cost = (2 * n_sampled + 4 * std::sqrt(n)) * n;
    const double n_digits = std::max(1.0, -std::log10(1 - recall));
    if (exact_cost < min_advantage * n_digits * preparing_cost || 4 * k > points.n_rows) {
        return exactly();
    }
    std::mt19937_64 random = repeatable_random();
    const Truth all = find_truth(points, queries, sample(2 * n_sampled, from.n_rows, random), k,
                                 measure, points_survey, executor);
    Truth parts[2];
    for (std::size_t t = 0; t < all.queries.size(); ++t) {
        Truth& part = parts[t % 2];
        part.queries.push_back(all.queries[t]);
        part.radii.push_back(all.radii[t]);
        for (std::size_t j = t * k; j < (t + 1) * k; ++j) {
            part.neighbors.push_back(all.neighbors[j]);
            part.distances.push_back(all.distances[j]);
        }
    }
    executor.stage("cells", 0.05, 0.2);
    const Search search(points, queries, k, measure, points_survey.largest, parts[0], executor);
    double tuned_recall = recall;
    for (const Truth* tuned_on : std::array<const Truth*, 3>{&parts[0], &all, &all}) {
        const std::optional<Effort> effort = search.tune(*tuned_on, tuned_recall);
        if (!effort) break;
        const Recall reached = search.recall_of(parts[1], *effort);
        if (reached.mean >= recall) return search.run<Distance>(*effort, reached);
        // The first sample was too easy. If tuning on both is not enough, ask for more.
        if (tuned_on == &all) tuned_recall += recall - reached.mean;
    }
    return exactly();
}

template Neighbors<float> approximate_neighbors(const Points&, const Points*, std::size_t,
                                                const Measure&, const Survey&, double,
                                                const Executor&);
template Neighbors<double> approximate_neighbors(const Points&, const Points*, std::size_t,
                                                 const Measure&, const Survey&, double,
                                                 const Executor&);

}  // namespace labelquorum
