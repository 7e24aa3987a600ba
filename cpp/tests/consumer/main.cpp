// An example of using the installed library: from the partitions of three models to pseudo-labels.
#include <cstdint>
#include <cstdio>
#include <optional>
#include <vector>

#include "labelquorum/mini_clusters.hpp"
#include "labelquorum/signatures.hpp"
#include "labelquorum/version.hpp"

int main() {
    namespace lq = labelquorum;
    // One column per model. Each model numbers its clusters in its own way.
    const std::vector<std::vector<std::int32_t>> models = {
        {0, 0, 0, 1, 1, 1, 2}, {5, 5, 5, 3, 3, 3, 5}, {1, 1, 1, 0, 0, 0, -1}};
    lq::Partitions partitions;
    partitions.n_rows = models.front().size();
    for (const auto& column : models) {
        partitions.columns.push_back({column.data(), sizeof(std::int32_t), lq::IntegerType::i32});
    }

    const lq::Executor executor;
    lq::SignatureTable table(models.size());
    std::vector<std::int32_t> ids(partitions.n_rows);
    table.update(partitions, ids.data(), executor);

    lq::MiniClusterOptions options;
    options.min_agree = 3;
    options.min_differ = 3;
    const auto labels = lq::mini_clusters(table, options, std::nullopt, executor);

    std::printf("%s:", lq::version);
    for (const std::int32_t id : ids) std::printf(" %d", labels[static_cast<std::size_t>(id)]);
    std::printf("\n");
}
