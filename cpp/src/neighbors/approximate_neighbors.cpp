// Nearest neighbours with a wanted recall.
//
// Rows are projected to the few directions in which they vary most (Space), and put into cells,
// each around a center found by k-means (Cells), as an inverted file does. A query is compared with
// the points of its own cell and of those whose centers lie nearly as close (CellSearch); the best
// of them by projected distance make its shortlist, which is measured in full, in double
// precision.
//
// How many cells are visited and how long the shortlists are is read off a sample of queries whose
// neighbours are found exactly beforehand. The recall that is reported is that of another sample.
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

#include "cell_search.hpp"
#include "cells.hpp"
#include "exact_neighbors.hpp"
#include "space.hpp"

namespace labelquorum {
namespace {

// Preparing has to cost so many times less than exact search, to be worth it, for every digit of
// recall: 0.9, 0.99, ...
constexpr double min_advantage = 5;
constexpr std::size_t n_sampled = 200;  // queries of each of the two samples
constexpr std::size_t task_queries = 512;
// A value measured in double precision costs about as much as so many multiplied by a tile.
constexpr double measuring_cost = 16;

// Queries whose neighbours are known.
struct Truth {
    std::vector<std::uint32_t> queries;  // ascending
    std::vector<std::int64_t> neighbors;
    std::vector<double> distances;
    std::vector<double> radii;  // distance of the k-th
};

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
            of_queries_ =
                cells_.sort(space_.coordinates(queries_, false, executor).values, executor);
        }
    }

    // The cheapest effort whose recall for a sample is, with 95 % confidence, at least the wanted
    // one; nothing where comparing everything is cheaper.
    std::optional<Effort> tune(const Truth& truth, double recall) const {
        const std::vector<Trail> trails = look_around(truth);
        std::optional<Plan> best;
        // Of what may be missed, the part that the cells miss; the shortlists miss the rest.
        for (const double part : {0.7, 0.35, 0.0}) {
            std::optional<Plan> plan = choose_cells(trails, 1 - (1 - recall) * part);
            const double limit = best ? best->cost : cost_of_all();
            if (!plan || plan->cost >= limit) continue;
            // More cells pay only with shorter shortlists.
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

    // What a sample gets from an effort.
    Recall recall_of(const Truth& truth, const Effort& effort) const {
        return recall_of(n_right(truth, effort), effort.n_shortlist);
    }

    template <class Distance>
    Neighbors<Distance> run(const Effort& effort, const Recall& recall) const {
        executor_.require_memory(queries_.n_rows * k_ * (sizeof(Distance) + sizeof(std::int64_t)),
                                 "the neighbours");
        Neighbors<Distance> result{k_, std::vector<Distance>(queries_.n_rows * k_),
                                   std::vector<std::int64_t>(queries_.n_rows * k_), recall};
        executor_.stage("neighbors", 0.2, 1);
        const std::vector<Task> tasks = all_tasks();
        std::vector<CellSearch> searches = workers(tasks.size());
        executor_.run(tasks.size(), [&](std::size_t t, int worker) {
            executor_.checkpoint();
            CellSearch& search = searches[static_cast<std::size_t>(worker)];
            search.run(tasks[t], effort);
            // So many at once that they stay in a cache.
            const std::size_t n_at_once = std::max<std::size_t>(8, 131072 / points_.n_columns);
            for (std::size_t begin = tasks[t].begin; begin < tasks[t].end; begin += n_at_once) {
                const std::size_t end = std::min(tasks[t].end, begin + n_at_once);
                std::vector<std::span<const Found>> lists;
                for (std::size_t place = begin; place < end; ++place) {
                    lists.push_back(search.shortlist(place - tasks[t].begin).found());
                }
                std::vector<std::vector<Measured>> all = measure(begin, lists);
                for (std::size_t place = begin; place < end; ++place) {
                    write(all[place - begin], of_queries().ids[place], result);
                }
            }
        });
        return result;
    }

private:
    // An effort and the values multiplied for a query.
    struct Plan {
        Effort effort;
        double cost;
    };

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

    bool points_are_queries() const { return same_ && measure_.metric() != Metric::inner_product; }

    // Coordinates leave out a part of each distance. Among neighbours it is about so large a share
    // of what they leave out of both.
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

    const RowsOfCells& of_queries() const {
        return of_queries_.ids.empty() ? cells_.points() : of_queries_;
    }
    // Of exact search.
    double cost_of_all() const {
        return static_cast<double>(points_.n_rows) * static_cast<double>(points_.n_columns) /
               (same_ ? 2 : 1);
    }

    std::vector<CellSearch> workers(std::size_t n_tasks) const {
        std::vector<CellSearch> all;
        const int n_workers = executor_.n_workers(n_tasks);
        all.reserve(static_cast<std::size_t>(n_workers));
        for (int w = 0; w < n_workers; ++w) {
            all.emplace_back(of_queries(), same_, k_, cells_);
        }
        return all;
    }

    // One for each query.
    std::vector<Task> tasks_for(std::span<const std::uint32_t> queries) const {
        std::vector<Task> tasks;
        for (const std::uint32_t query : queries) {
            const std::size_t place = of_queries().places[query];
            tasks.push_back({of_queries().homes[place], place, place + 1});
        }
        return tasks;
    }

    std::vector<Task> all_tasks() const {
        std::vector<Task> tasks;
        const std::vector<std::size_t>& begins = of_queries().begins;
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
            std::vector<std::size_t> nth(points.n_cells(), 0);
            trail.costs.push_back(points.size(tasks[t].cell));
            for (std::size_t v = 0; v < trail.visits.size(); ++v) {
                const std::uint32_t cell = search.cell(trail.visits[v]);
                nth[cell] = v + 1;
                trail.costs.push_back(trail.costs.back() + points.size(cell));
            }
            for (std::size_t j = 0; j < k_; ++j) {
                const auto neighbor = static_cast<std::size_t>(truth.neighbors[t * k_ + j]);
                trail.places.push_back(nth[points.homes[points.places[neighbor]]]);
            }
        });
        return trails;
    }

    // The cheapest way to reach a share of the neighbours.
    std::optional<Plan> choose_cells(const std::vector<Trail>& trails, double wanted) const {
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
                    const auto met =
                        std::count_if(trail.places.begin(), trail.places.end(),
                                      [&](std::size_t place) { return place <= last; });
                    share += static_cast<double>(met) / static_cast<double>(k_) / n;
                }
                cost = (cost + static_cast<double>(cells_.points().n_cells())) *
                       static_cast<double>(cells_.n_columns());
                if (share < wanted || (best && cost >= best->cost)) continue;
                best = Plan{{n_cells, reach, 0}, cost};
            }
        }
        return best;
    }

    // The k nearest of what was measured for a query.
    template <class Distance>
    void write(std::vector<Measured>& measured, std::size_t query,
               Neighbors<Distance>& result) const {
        std::partial_sort(measured.begin(), measured.begin() + static_cast<std::ptrdiff_t>(k_),
                          measured.end());
        for (std::size_t j = 0; j < k_; ++j) {
            result.distances[query * k_ + j] =
                static_cast<Distance>(measure_.final_distance(measured[j].distance));
            result.indices[query * k_ + j] = measured[j].index;
        }
    }

    // The shortest shortlists that have the recall, if any have it.
    std::optional<std::size_t> n_needed(const Truth& truth, const Effort& effort,
                                        double recall) const {
        const std::vector<std::vector<std::size_t>> right = n_right(truth, effort);
        for (std::size_t n = k_; n <= effort.n_shortlist; n += std::max<std::size_t>(1, n / 8)) {
            if (recall_of(right, n).least >= recall) return n;
        }
        return std::nullopt;
    }

    // For each query of a sample, the true neighbours among the first so many of its shortlist.
    std::vector<std::vector<std::size_t>> n_right(const Truth& truth, const Effort& effort) const {
        const std::vector<Task> tasks = tasks_for(truth.queries);
        std::vector<std::vector<std::size_t>> right(tasks.size());
        std::vector<CellSearch> searches = workers(tasks.size());
        executor_.run(tasks.size(), [&](std::size_t t, int worker) {
            executor_.checkpoint();
            CellSearch& search = searches[static_cast<std::size_t>(worker)];
            search.run(tasks[t], effort);
            const std::array<std::span<const Found>, 1> list{search.shortlist(0).found()};
            right[t].assign(effort.n_shortlist + 1, 0);
            std::size_t i = 0;
            const std::vector<std::vector<Measured>> measured = measure(tasks[t].begin, list);
            for (const Measured& one : measured[0]) {
                const bool is_right = measure_.final_distance(one.distance) <= truth.radii[t];
                right[t][i + 1] = right[t][i] + (is_right ? 1 : 0);
                ++i;
            }
            std::fill(right[t].begin() + static_cast<std::ptrdiff_t>(i), right[t].end(),
                      right[t][i]);
        });
        return right;
    }

    // With the first n of each shortlist.
    Recall recall_of(const std::vector<std::vector<std::size_t>>& right, std::size_t n) const {
        const auto n_queries = static_cast<double>(right.size());
        const auto share = [&](const std::vector<std::size_t>& of_query) {
            return static_cast<double>(std::min(k_, of_query[n])) / static_cast<double>(k_);
        };
        double mean = 0;
        for (const auto& of_query : right) mean += share(of_query) / n_queries;
        double squares = 0;
        for (const auto& of_query : right) {
            squares += (share(of_query) - mean) * (share(of_query) - mean);
        }
        const double error = std::sqrt(squares / (n_queries - 1) / n_queries);
        return {mean, mean - 1.645 * error, right.size()};
    }

    // All of the shortlists of consecutive queries, in their order. Each point is read but once.
    std::vector<std::vector<Measured>> measure(
        std::size_t first_place, std::span<const std::span<const Found>> lists) const {
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
            measure_.read(queries_, of_queries().ids[first_place + q], rows.data() + q * d);
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

    static constexpr std::array<std::size_t, 18> cell_ladder{
        1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1 << 20};
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
    Cells cells_;
    RowsOfCells of_queries_;  // where they are not the points
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
    Truth truth{std::move(chosen), {}, {}, {}};
    for (std::size_t i = 0; i < truth.queries.size(); ++i) {
        std::size_t n = 0;
        for (std::size_t j = i * found.k; n < k; ++j) {
            if (extra == 1 && found.indices[j] == static_cast<std::int64_t>(truth.queries[i])) {
                continue;
            }
            truth.neighbors.push_back(found.indices[j]);
            truth.distances.push_back(found.distances[j]);
            if (++n == k) truth.radii.push_back(found.distances[j]);
        }
    }
    return truth;
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
    // Both in products of a row with a row. Preparing: the sample, and cells for all points.
    const auto n = static_cast<double>(points.n_rows);
    const double all_pairs = static_cast<double>(from.n_rows) * n / (queries == nullptr ? 2 : 1);
    const double preparing = (2 * n_sampled + 4 * std::sqrt(n)) * n;
    const double digits = std::max(1.0, -std::log10(1 - recall));
    if (all_pairs < min_advantage * digits * preparing || 4 * k > points.n_rows) return exactly();
    std::mt19937_64 random = repeatable_random();
    const Truth all = find_truth(points, queries, sample(2 * n_sampled, from.n_rows, random), k,
                                 measure, of_points, executor);
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
    const Search search(points, queries, k, measure, of_points.largest, parts[0], executor);
    double wanted = recall;
    for (const Truth* tuned_on : std::array<const Truth*, 3>{&parts[0], &all, &all}) {
        const std::optional<Effort> effort = search.tune(*tuned_on, wanted);
        if (!effort) break;
        const Recall reached = search.recall_of(parts[1], *effort);
        if (reached.mean >= recall) return search.run<Distance>(*effort, reached);
        // The first sample was lucky; or, by then, the second one is hard.
        if (tuned_on == &all) wanted += recall - reached.mean;
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
