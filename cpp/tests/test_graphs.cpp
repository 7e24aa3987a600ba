#include "labelquorum/graphs.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using labelquorum::Edges;
using labelquorum::Executor;
using labelquorum::neighbor_graph;

namespace {

TEST(graphs_equal_maps_of_edges) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 200; ++round) {
        const std::size_t n = 2 + random() % 60;
        const std::size_t k = 1 + random() % (n - 1);
        // Any distances that are the same both ways, zeros among them.
        const auto distance = [](std::size_t i, std::size_t j) {
            return static_cast<double>((i * j) % 7);
        };
        std::vector<std::int64_t> neighbors;
        std::vector<double> distances;
        std::map<std::pair<std::size_t, std::size_t>, double> directed;
        for (std::size_t i = 0; i < n; ++i) {
            std::vector<std::size_t> others;
            for (std::size_t j = 0; j < n; ++j) {
                if (j != i) others.push_back(j);
            }
            std::shuffle(others.begin(), others.end(), random);
            for (std::size_t e = 0; e < k; ++e) {
                neighbors.push_back(static_cast<std::int64_t>(others[e]));
                distances.push_back(distance(i, others[e]));
                directed[{i, others[e]}] = distances.back();
            }
        }
        for (const Edges edges : {Edges::directed, Edges::either, Edges::mutual}) {
            std::map<std::pair<std::size_t, std::size_t>, double> expected;
            for (const auto& [edge, weight] : directed) {
                const std::pair back(edge.second, edge.first);
                if (edges == Edges::mutual && directed.count(back) == 0) continue;
                expected[edge] = weight;
                if (edges == Edges::either) expected[back] = weight;
            }
            const auto graph = neighbor_graph<std::int32_t>(neighbors.data(), distances.data(), n,
                                                            k, edges, Executor(1 + round % 3));
            CHECK(graph.indptr.size() == n + 1);
            CHECK(graph.indices.size() == expected.size());
            auto next = expected.begin();
            for (std::size_t i = 0; i < n; ++i) {
                for (auto e = static_cast<std::size_t>(graph.indptr[i]);
                     e < static_cast<std::size_t>(graph.indptr[i + 1]); ++e, ++next) {
                    CHECK(next->first.first == i);
                    CHECK(next->first.second == static_cast<std::size_t>(graph.indices[e]));
                    CHECK(next->second == graph.weights[e]);
                }
            }
        }
    }
}

TEST(a_number_that_is_no_node_is_refused) {
    const std::vector<float> distances{1, 1};
    for (const std::int64_t bad : {-1, 2}) {
        const std::vector<std::int64_t> neighbors{1, bad};
        CHECK_THROWS(std::invalid_argument,
                     neighbor_graph<std::int64_t>(neighbors.data(), distances.data(), 2, 1,
                                                  Edges::either, Executor(1)));
    }
}

}  // namespace
