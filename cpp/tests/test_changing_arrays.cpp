// Arrays that another thread writes to while a call reads them: results are unspecified, but no
// memory outside of the arrays is touched. Run this under a sanitizer of addresses.
#include <atomic>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"
#include "labelquorum/agreement.hpp"
#include "labelquorum/codebooks.hpp"
#include "labelquorum/communities.hpp"
#include "labelquorum/correlation.hpp"
#include "labelquorum/graphs.hpp"
#include "labelquorum/neighbors.hpp"
#include "labelquorum/propagation.hpp"
#include "labelquorum/signatures.hpp"

#ifdef __SANITIZE_THREAD__

TEST(races_are_what_this_tests) {}

#else

using labelquorum::Executor;

namespace {

constexpr std::size_t n_nodes = 400;
constexpr std::size_t n_edges_of_node = 8;

// Writes bad values over good ones, and back, until it goes out of scope. Races are the point here:
// values are written one at a time, as by a caller that has no idea of the call.
template <class T>
class Disturber {
public:
    Disturber(std::vector<T>& values, T bad, unsigned seed)
        : good_(values), thread_([this, &values, bad, seed] { write(values, bad, seed); }) {}
    ~Disturber() {
        stop_.store(true);
        thread_.join();
    }
    Disturber(const Disturber&) = delete;
    Disturber& operator=(const Disturber&) = delete;

private:
    void write(std::vector<T>& values, T bad, unsigned seed) {
        std::mt19937 random(seed);
        while (!stop_.load()) {
            for (int i = 0; i < 64; ++i) {
                const std::size_t at = random() % values.size();
                const std::size_t other = random() % values.size();
                volatile T* const place = values.data() + at;
                *place = random() % 4 == 0 ? bad : good_[random() % 2 == 0 ? at : other];
            }
            if (random() % 8 != 0) continue;
            for (std::size_t at = 0; at < values.size(); ++at) {
                *static_cast<volatile T*>(values.data() + at) = good_[at];
            }
        }
    }

    std::vector<T> good_;
    std::atomic<bool> stop_{false};
    std::thread thread_;  // last, since it uses the others
};

struct RandomGraph {
    std::vector<std::int32_t> indptr{0};
    std::vector<std::int32_t> indices;
    std::vector<float> weights;

    explicit RandomGraph(unsigned seed) {
        std::mt19937 random(seed);
        for (std::size_t i = 0; i < n_nodes; ++i) {
            for (std::size_t e = 0; e < n_edges_of_node; ++e) {
                indices.push_back(static_cast<std::int32_t>(random() % n_nodes));
                weights.push_back(1.0F + static_cast<float>(random() % 8));
            }
            indptr.push_back(static_cast<std::int32_t>(indices.size()));
        }
    }
    labelquorum::GraphView<std::int32_t, float> view() const {
        return {indptr.data(), indices.data(), weights.data(), n_nodes};
    }
};

// Calls f again and again. It may throw std::logic_error (invalid arguments), and nothing else.
template <class F>
void repeat(int n, F&& f) {
    for (int i = 0; i < n; ++i) {
        try {
            f();
        } catch (const std::logic_error&) {
        } catch (const labelquorum::ClusterIdError&) {
        }
    }
}

template <class F>
void disturb_indices(F&& f) {
    unsigned seed = 0;
    for (const std::int32_t bad : {-1, 1 << 30, static_cast<std::int32_t>(n_nodes)}) {
        RandomGraph graph(seed);
        const Disturber<std::int32_t> disturber(graph.indices, bad, ++seed);
        repeat(20, [&] { f(graph); });
    }
}

}  // namespace

TEST(a_graph_is_made_symmetric) {
    disturb_indices([](const RandomGraph& graph) {
        for (const auto edges : {labelquorum::Edges::either, labelquorum::Edges::mutual}) {
            const auto result = labelquorum::symmetrized_graph(
                graph.view(), edges, labelquorum::Combine::sum, true, Executor(2));
            for (const std::int32_t target : result.indices) {
                CHECK(target >= 0 && static_cast<std::size_t>(target) < n_nodes);
            }
        }
    });
}

TEST(weights_are_normalized_and_components_found) {
    disturb_indices([](const RandomGraph& graph) {
        labelquorum::normalized_weights(graph.view(), labelquorum::Normalization::symmetric, false,
                                        Executor(2));
        labelquorum::connected_components(graph.indptr.data(), graph.indices.data(), n_nodes,
                                          Executor(2));
    });
}

TEST(communities_and_clusters_are_found) {
    disturb_indices([](const RandomGraph& graph) {
        const labelquorum::CommunityRun run{1.0, 0};
        labelquorum::communities(graph.view(), std::span(&run, 1), 1, Executor(2));
    });
    disturb_indices([](const RandomGraph& graph) {
        labelquorum::correlation_clustering(graph.view(), {}, Executor(2));
    });
}

TEST(labels_spread) {
    const std::vector<std::int64_t> nodes{0, 7, 11};
    const std::vector<float> values{1, 0, 0, 1, 1, 0};
    const labelquorum::Seeds<float> seeds{nodes.data(), values.data(), 3, 2};
    disturb_indices([&](const RandomGraph& graph) {
        labelquorum::propagate(graph.view(), seeds, {0.5, 0.5, false, 10, 0.0}, Executor(2));
    });
}

TEST(pairs_are_compared) {
    std::vector<std::int32_t> votes(n_nodes);
    const labelquorum::Partitions partitions{
        {{votes.data(), sizeof(std::int32_t), labelquorum::IntegerType::i32}}, n_nodes};
    disturb_indices([&](const RandomGraph& graph) {
        std::vector<double> out(graph.indices.size());
        labelquorum::coassociation(partitions, graph.indptr.data(), graph.indices.data(),
                                   out.data(), Executor(2));
        labelquorum::coassociation(partitions, graph.indices.data(), graph.indices.size() / 2,
                                   out.data(), Executor(2));
    });
}

TEST(rows_are_counted) {
    constexpr std::size_t n_columns = 6;
    std::mt19937 random(0);
    std::vector<std::int32_t> votes(n_nodes * n_columns);
    for (std::int32_t& vote : votes) vote = static_cast<std::int32_t>(random() % 5);
    labelquorum::Partitions partitions{{}, n_nodes};
    for (std::size_t j = 0; j < n_columns; ++j) {
        partitions.columns.push_back(
            {votes.data() + j, n_columns * sizeof(std::int32_t), labelquorum::IntegerType::i32});
    }
    std::vector<std::int32_t> ids(n_nodes, 0);
    for (const std::int32_t bad : {-5, 1 << 30}) {
        const Disturber<std::int32_t> of_votes(votes, bad, 1);
        const Disturber<std::int32_t> of_ids(ids, bad, 2);
        labelquorum::SignatureTable table(n_columns);
        repeat(50, [&] {
            table.update(partitions, ids.data(), Executor(2));
            table.lookup(partitions, ids.data(), Executor(2));
        });
        std::int64_t n_samples = 0;
        for (const std::int64_t count : table.counts()) {
            CHECK(count > 0);
            n_samples += count;
        }
        CHECK(n_samples == table.n_samples());
    }
}

// `out` is never read, so the table is the same whatever others write there.
TEST(ids_that_others_overwrite_do_not_change_the_table) {
    std::mt19937 random(3);
    std::vector<std::int32_t> votes(200'000);
    for (std::int32_t& vote : votes) vote = static_cast<std::int32_t>(random() % 50'000);
    const labelquorum::Partitions partitions{
        {{votes.data(), sizeof(std::int32_t), labelquorum::IntegerType::i32}}, votes.size()};
    std::vector<std::int32_t> ids(votes.size(), 0);
    labelquorum::SignatureTable quiet(1);
    quiet.update(partitions, ids.data(), Executor(2));
    for (const std::int32_t bad : {-1, -7, 1 << 30}) {
        const Disturber<std::int32_t> disturber(ids, bad, 4);
        labelquorum::SignatureTable table(1);
        table.update(partitions, ids.data(), Executor(2));
        CHECK(table.counts() == quiet.counts());
        CHECK(table.signatures(Executor(1)) == quiet.signatures(Executor(1)));
    }
}

TEST(points_change) {
    constexpr std::size_t n_columns = 12;
    std::mt19937 random(5);
    std::vector<float> values(n_nodes * n_columns);
    for (float& value : values) value = static_cast<float>(random() % 1000) / 1000;
    constexpr std::ptrdiff_t stride = n_columns * sizeof(float);
    const labelquorum::Points points{
        values.data(), labelquorum::FloatType::f32, stride, sizeof(float), n_nodes, n_columns};
    labelquorum::Points centers = points;
    centers.n_rows = 40;
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity(), 3e38F, 0.0F}) {
        const Disturber<float> disturber(values, bad, 6);
        std::vector<std::int32_t> labels(n_nodes);
        const labelquorum::Codebook codebook{centers, {}};
        for (const auto metric : {labelquorum::Metric::euclidean, labelquorum::Metric::cosine,
                                  labelquorum::Metric::inner_product}) {
            repeat(3, [&] {
                labelquorum::nearest_neighbors<float>(points, nullptr, 10, metric, 1.0,
                                                      Executor(2));
            });
            repeat(3, [&] {
                labelquorum::assign_codebooks(points, std::span(&codebook, 1), metric,
                                              labels.data(), Executor(2));
            });
        }
    }
}

#endif
