// Nearest neighbours by a distance of the caller's own.
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

struct Nearest {
    double distance;
    std::size_t index;
    bool operator<(const Nearest& other) const {
        return distance != other.distance ? distance < other.distance : index < other.index;
    }
};

}  // namespace

template <class Distance>
Neighbors<Distance> nearest_neighbors(const Points& points, const Points* queries, std::size_t k,
                                      DistanceFunction distance, const Executor& executor) {
    check_search(points, queries, k);
    const bool same = queries == nullptr;
    const Points& from = same ? points : *queries;
    const std::size_t d = points.n_columns;
    const Measure as_given(Metric::euclidean, d);
    executor.stage("check", 0, 0.01);
    survey(points, "X", as_given, executor);
    if (!same) survey(from, "Y", as_given, executor);
    executor.require_memory(from.n_rows * k * (sizeof(Distance) + sizeof(std::int64_t)),
                            "the neighbours");
    Neighbors<Distance> result{k,
                               std::vector<Distance>(from.n_rows * k),
                               std::vector<std::int64_t>(from.n_rows * k),
                               {1, 1, 0}};
    const std::size_t n_of_block = std::max<std::size_t>(1, block_bytes / (d * sizeof(double)));
    const auto read = [&](const Points& rows, std::size_t begin, std::size_t end,
                          std::vector<double>& to) {
        to.resize((end - begin) * d);
        for (std::size_t i = begin; i < end; ++i) {
            as_given.read(rows, i, to.data() + (i - begin) * d);
        }
    };
    executor.stage("neighbors", 0.01, 1);
    const std::size_t n_of_task = std::clamp<std::size_t>(
        from.n_rows / (8 * static_cast<std::size_t>(executor.n_threads())), 1, n_of_block);
    executor.run_ranges(from.n_rows, n_of_task, [&](std::size_t begin, std::size_t end, int) {
        std::vector<double> a;
        std::vector<double> b;
        read(from, begin, end, a);
        // The worst of the k nearest first.
        std::vector<std::vector<Nearest>> heaps(end - begin);
        for (std::size_t first = 0; first < points.n_rows; first += n_of_block) {
            const std::size_t last = std::min(points.n_rows, first + n_of_block);
            read(points, first, last, b);
            for (std::size_t q = begin; q < end; ++q) {
                executor.checkpoint();
                std::vector<Nearest>& heap = heaps[q - begin];
                for (std::size_t p = first; p < last; ++p) {
                    if (same && p == q) continue;
                    const Nearest found{
                        distance(a.data() + (q - begin) * d, b.data() + (p - first) * d,
                                 static_cast<std::int64_t>(d)),
                        p};
                    if (std::isnan(found.distance)) {
                        throw std::invalid_argument(
                            "metric returned NaN for row " + std::to_string(q) + " of " +
                            (same ? "X" : "Y") + " and row " + std::to_string(p) + " of X");
                    }
                    if (heap.size() == k) {
                        if (!(found < heap.front())) continue;
                        std::pop_heap(heap.begin(), heap.end());
                        heap.pop_back();
                    }
                    heap.push_back(found);
                    std::push_heap(heap.begin(), heap.end());
                }
            }
        }
        for (std::size_t q = begin; q < end; ++q) {
            std::vector<Nearest>& heap = heaps[q - begin];
            std::sort_heap(heap.begin(), heap.end());
            for (std::size_t j = 0; j < k; ++j) {
                result.distances[q * k + j] = static_cast<Distance>(heap[j].distance);
                result.indices[q * k + j] = static_cast<std::int64_t>(heap[j].index);
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
