-- As in 0111_requests_merges.
ALTER TABLE {database}.opened {on_cluster}
    MODIFY SETTING min_parts_to_merge_at_once = 10, auto_statistics_types = ''
