#include "labelquorum/graphs.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using labelquorum::Combine;
using labelquorum::Edges;
using labelquorum::Executor;
using labelquorum::GraphView;
using labelquorum::neighbor_graph;
using labelquorum::Normalization;

namespace {

TEST(graphs_equal_maps_of_edges) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 200; ++round) {
        const std::size_t n = 2 + random() % 60;
        const std::size_t k = 1 + random() % (n - 1);
        // Arbitrary distances, some of them 0, that are the same in both directions.
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

// Rows in any order, with duplicate edges, edges from a node to itself, and edges of weight 0.
struct Given {
    std::vector<std::int32_t> indptr{0};
    std::vector<std::int32_t> indices;
    std::vector<double> weights;

    explicit Given(std::mt19937_64& random) {
        const std::size_t n = 1 + random() % 60;
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t e = random() % 6; e > 0; --e) {
                indices.push_back(static_cast<std::int32_t>(random() % n));
                weights.push_back(static_cast<double>(random() % 4));
            }
            indptr.push_back(static_cast<std::int32_t>(indices.size()));
        }
    }

    GraphView<std::int32_t, double> view() const {
        return {indptr.data(), indices.data(), weights.data(), indptr.size() - 1};
    }

    template <class F>
    void for_each_edge(F&& f) const {
        for (std::size_t i = 0; i + 1 < indptr.size(); ++i) {
            for (auto e = static_cast<std::size_t>(indptr[i]);
                 e < static_cast<std::size_t>(indptr[i + 1]); ++e) {
                f(i, static_cast<std::size_t>(indices[e]), e);
            }
        }
    }
};

TEST(a_symmetrized_graph_equals_the_map_of_its_edges) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 200; ++round) {
        const Given given(random);
        std::map<std::pair<std::size_t, std::size_t>, double> directed;
        given.for_each_edge([&](std::size_t i, std::size_t j, std::size_t e) {
            directed[{i, j}] += given.weights[e];
        });
        const bool loops = round % 2 == 0;
        for (const Edges edges : {Edges::directed, Edges::either, Edges::mutual}) {
            for (const Combine combine : {Combine::larger, Combine::smaller, Combine::sum}) {
                std::map<std::pair<std::size_t, std::size_t>, double> expected;
                for (const auto& [edge, weight] : directed) {
                    const auto back = directed.find({edge.second, edge.first});
                    if (edge.first == edge.second) {
                        if (loops) expected[edge] = weight;
                    } else if (edges == Edges::directed) {
                        expected[edge] = weight;
                    } else if (back != directed.end()) {
                        expected[edge] = combine == Combine::larger ? std::max(weight, back->second)
                                         : combine == Combine::smaller
                                             ? std::min(weight, back->second)
                                             : weight + back->second;
                    } else if (edges == Edges::either) {
                        expected[edge] = expected[{edge.second, edge.first}] = weight;
                    }
                }
                const auto graph = labelquorum::symmetrized_graph(given.view(), edges, combine,
                                                                  loops, Executor(1 + round % 3));
                CHECK(graph.indices.size() == expected.size());
                auto next = expected.begin();
                for (std::size_t i = 0; i + 1 < graph.indptr.size(); ++i) {
                    for (auto e = static_cast<std::size_t>(graph.indptr[i]);
                         e < static_cast<std::size_t>(graph.indptr[i + 1]); ++e, ++next) {
                        CHECK(next->first ==
                              std::pair(i, static_cast<std::size_t>(graph.indices[e])));
                        CHECK(next->second == graph.weights[e]);
                    }
                }
            }
        }
    }
}

TEST(rows_of_a_random_walk_sum_to_one_or_are_zero) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 100; ++round) {
        const Given given(random);
        const auto weights = labelquorum::normalized_weights(
            given.view(), Normalization::random_walk, true, Executor(1 + round % 3));
        std::vector<double> sums(given.indptr.size() - 1, 0.0);
        std::vector<double> degrees(sums);
        given.for_each_edge([&](std::size_t i, std::size_t, std::size_t e) {
            sums[i] += weights[e];
            degrees[i] += given.weights[e];
        });
        for (std::size_t i = 0; i < sums.size(); ++i) {
            CHECK(degrees[i] > 0 ? std::abs(sums[i] - 1) < 1e-12 : sums[i] == 0);
        }
    }
}

TEST(components_have_the_numbers_of_a_flood_from_the_smallest_node) {
    std::mt19937_64 random(4);
    for (int round = 0; round < 300; ++round) {
        const Given given(random);
        const std::size_t n = given.indptr.size() - 1;
        std::vector<std::int32_t> expected(n);
        std::iota(expected.begin(), expected.end(), 0);
        for (bool changed = true; changed;) {  // the smallest node of each component
            changed = false;
            given.for_each_edge([&](std::size_t i, std::size_t j, std::size_t) {
                changed = changed || expected[i] != expected[j];
                expected[i] = expected[j] = std::min(expected[i], expected[j]);
            });
        }
        std::map<std::int32_t, std::int32_t> numbers;
        for (const std::int32_t root : expected) {
            numbers.try_emplace(root, static_cast<std::int32_t>(numbers.size()));
        }
        const auto found = labelquorum::connected_components(
            given.indptr.data(), given.indices.data(), n, Executor(1 + round % 4));
        for (std::size_t i = 0; i < n; ++i) CHECK(found[i] == numbers[expected[i]]);
    }
}

TEST(threads_that_unite_the_same_nodes_agree) {
    constexpr std::int32_t n = 200'000;
    std::mt19937_64 random(5);
    std::vector<std::int32_t> indptr{0};
    std::vector<std::int32_t> indices;
    for (std::int32_t i = 0; i < n; ++i) {
        indices.push_back(static_cast<std::int32_t>(random() % n));
        indptr.push_back(i + 1);
    }
    const auto serial =
        labelquorum::connected_components(indptr.data(), indices.data(), n, Executor(1));
    for (int round = 0; round < 5; ++round) {
        CHECK(labelquorum::connected_components(indptr.data(), indices.data(), n, Executor(8)) ==
              serial);
    }
}

TEST(bad_weights_and_indices_are_refused) {
    const std::vector<std::int32_t> indptr{0, 1, 2};
    for (const std::int32_t bad : {-1, 2}) {
        const std::vector<std::int32_t> indices{1, bad};
        CHECK_THROWS(std::invalid_argument, labelquorum::connected_components(
                                                indptr.data(), indices.data(), 2, Executor(2)));
    }
    const std::vector<std::int32_t> indices{1, 0};
    for (const double bad : {-1.0, std::nan(""), HUGE_VAL}) {
        const std::vector<double> weights{1, bad};
        CHECK_THROWS(
            std::invalid_argument,
            labelquorum::normalized_weights(
                GraphView<std::int32_t, double>{indptr.data(), indices.data(), weights.data(), 2},
                Normalization::symmetric, true, Executor(1)));
    }
}

}  // namespace
