// Nearest neighbors by the caller's own distance.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "labelquorum/neighbors.hpp"
#include "measure.hpp"
#include "search_arguments.hpp"

namespace labelquorum {
namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 18;  // of rows, to stay in a cache

struct Neighbor {
    double distance;
    std::size_t index;
    bool operator<(const Neighbor& other) const {
        return distance != other.distance ? distance < other.distance : index < other.index;
    }
};

// The k nearest points to a query so far.
class Nearest {
public:
    void add(const Neighbor& neighbor, std::size_t k) {
        if (heap_.size() == k) {
            if (!(neighbor < heap_.front())) return;
            std::pop_heap(heap_.begin(), heap_.end());
            heap_.pop_back();
        }
        heap_.push_back(neighbor);
        std::push_heap(heap_.begin(), heap_.end());
    }

    // Call once all are added.
    const std::vector<Neighbor>& sort() {
        std::sort_heap(heap_.begin(), heap_.end());
        return heap_;
    }

private:
    std::vector<Neighbor> heap_;  // the farthest first
};

void check_distance(double distance, std::size_t query, std::size_t point, bool same) {
    if (!std::isnan(distance)) return;
    throw std::invalid_argument("metric returned NaN for row " + std::to_string(query) + " of " +
                                (same ? "X" : "Y") + " and row " + std::to_string(point) +
                                " of X; it must return a number.");
}

}  // namespace

template <class Distance>
Neighbors<Distance> nearest_neighbors(const Points& points, const Points* queries, std::size_t k,
                                      DistanceFunction distance, const Executor& executor) {
    check_search(points, queries, k);
    const bool same = queries == nullptr;
    const Points& from = same ? points : *queries;
    const std::size_t d = points.n_columns;
    const Measure as_given(Metric::euclidean, d);
    executor.stage("neighbors", 0, 0.01);
    survey(points, "X", as_given, executor);
    if (!same) survey(from, "Y", as_given, executor);
    executor.require_memory(from.n_rows * k * (sizeof(Distance) + sizeof(std::int64_t)),
                            "the neighbors");
    Neighbors<Distance> result{k,
                               std::vector<Distance>(from.n_rows * k),
                               std::vector<std::int64_t>(from.n_rows * k),
                               {1, 1, 0}};
    const auto read = [&](const Points& rows, std::size_t begin, std::size_t end,
                          std::vector<double>& to) {
        to.resize((end - begin) * d);
        for (std::size_t i = begin; i < end; ++i) {
            as_given.read(rows, i, to.data() + (i - begin) * d);
        }
    };
    executor.stage("neighbors", 0.01, 1);
    const std::size_t block_rows = std::max<std::size_t>(1, block_bytes / (d * sizeof(double)));
    const std::size_t task_rows = std::clamp<std::size_t>(
        from.n_rows / (8 * static_cast<std::size_t>(executor.n_threads())), 1, block_rows);
    executor.run_ranges(from.n_rows, task_rows, [&](std::size_t begin, std::size_t end, int) {
        std::vector<double> query_rows;
        std::vector<double> point_rows;
        read(from, begin, end, query_rows);
        std::vector<Nearest> nearest(end - begin);
        for (std::size_t first = 0; first < points.n_rows; first += block_rows) {
            const std::size_t last = std::min(points.n_rows, first + block_rows);
            read(points, first, last, point_rows);
            for (std::size_t q = begin; q < end; ++q) {
                executor.checkpoint();
                for (std::size_t p = first; p < last; ++p) {
                    if (same && p == q) continue;
                    const double measured =
                        distance(query_rows.data() + (q - begin) * d,
                                 point_rows.data() + (p - first) * d, static_cast<std::int64_t>(d));
                    check_distance(measured, q, p, same);
                    nearest[q - begin].add({measured, p}, k);
                }
            }
        }
        for (std::size_t q = begin; q < end; ++q) {
            const std::vector<Neighbor>& sorted = nearest[q - begin].sort();
            for (std::size_t j = 0; j < k; ++j) {
                result.distances[q * k + j] = static_cast<Distance>(sorted[j].distance);
                result.indices[q * k + j] = static_cast<std::int64_t>(sorted[j].index);
            }
        }
    });
    return result;
}

template Neighbors<float> nearest_neighbors(const Points&, const Points*, std::size_t,
                                            DistanceFunction, const Executor&);
template Neighbors<double> nearest_neighbors(const Points&, const Points*, std::size_t,
                                             DistanceFunction, const Executor&);

}  // namespace labelquorum
